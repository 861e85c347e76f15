package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// socketIOFolder has the programs of the contender that is not written in Go,
// with a lock file of its own.
const socketIOFolder = "bench/socketio"

// install fetches what the contenders of a benchmark need, unless it is there.
func install(ctx context.Context, root string, b benchmark) error {
	if !b.needsNode() {
		return nil
	}
	folder := filepath.Join(root, socketIOFolder)
	if newer(filepath.Join(folder, "node_modules/.package-lock.json"), filepath.Join(folder, "package-lock.json")) {
		return nil
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("install socket.io with npm ci in %s: %w", folder, err)
	}
	return nil
}

func (b benchmark) needsNode() bool {
	for _, l := range b.loads {
		for _, name := range b.under(l) {
			if who, err := l.party(name); err == nil && who.server != nil {
				return true
			}
		}
	}
	return false
}

// newer says that a file is there and not older than another.
func newer(path, than string) bool {
	a, err := os.Stat(path)
	if err != nil {
		return false
	}
	b, err := os.Stat(than)
	return err == nil && !a.ModTime().Before(b.ModTime())
}
