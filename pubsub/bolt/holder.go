package bolt

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	bbolterrors "go.etcd.io/bbolt/errors"
)

// ErrHeld is what Open returns, wrapped, if a process has the file open.
var ErrHeld = errors.New("it is open already")

// holds reports whether opening failed because of who has the file open.
func holds(err error) bool { return errors.Is(err, bbolterrors.ErrTimeout) }

func holderPath(path string) string { return path + ".pid" }

// writeHolder says who has the file open, for others. The lock does not depend
// on it.
func writeHolder(path string) error {
	if err := os.WriteFile(holderPath(path), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("say who has it open: %w", err)
	}
	return nil
}

func removeHolder(path string) { _ = os.Remove(holderPath(path)) } // one of a process that is gone does no harm

// errHeld is an ErrHeld that names who has the file open.
func errHeld(path string) error {
	text, err := os.ReadFile(holderPath(path))
	pid, notPid := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil || notPid != nil:
		return fmt.Errorf("%w by another process", ErrHeld)
	case pid == os.Getpid():
		return fmt.Errorf("%w by this process, %d", ErrHeld, pid)
	}
	return fmt.Errorf("%w by process %d", ErrHeld, pid)
}
