package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/control"
)

// A child is a process of a measurement.
type child struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	commands *json.Encoder
	answers  *json.Decoder
	ready    control.Ready
}

// start starts a program and waits until it is ready. It dies with ctx.
func start(ctx context.Context, cmd *exec.Cmd) (*child, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, commands: json.NewEncoder(in), answers: json.NewDecoder(out)}
	if err := c.answers.Decode(&c.ready); err != nil {
		c.kill()
		return nil, fmt.Errorf("%v did not get ready: %w", cmd.Args, err)
	}
	return c, ctx.Err()
}

// ask sends a command and stores the answer in what v points to.
func (c *child) ask(command control.Command, v any) error {
	if err := c.commands.Encode(command); err != nil {
		return fmt.Errorf("ask %v to %s: %w", c.cmd.Args, command.Do, err)
	}
	if err := c.answers.Decode(v); err != nil {
		return fmt.Errorf("%v did not %s: %w", c.cmd.Args, command.Do, err)
	}
	return nil
}

func (c *child) count() (counts control.Counts, err error) {
	err = c.ask(control.Command{Do: control.Count}, &counts)
	return counts, err
}

func (c *child) usage() (usage, error) { return usageOf(c.cmd.Process.Pid) }

// stop ends the process and waits for it. One that ignores the end of its
// standard input is killed with its context.
func (c *child) stop() error {
	_ = c.in.Close() // the process may have ended already, which Wait tells
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%v: %w", c.cmd.Args, err)
	}
	return nil
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended already
	_ = c.cmd.Wait()
}

// programs knows how to start the processes of contenders.
type programs struct {
	self string // this program
	root string // of the project
	// profiles is where servers and loads leave CPU profiles; "" is nowhere.
	profiles string
}

func (p programs) server(ctx context.Context, who party, l load) *exec.Cmd {
	args, node := []string{"serve"}, slices.Clone(who.server)
	if size := strconv.Itoa(l.size); l.fansOut() {
		args, node = []string{"publish", "-size", size}, append(node, size)
	}
	if who.server != nil {
		return p.node(ctx, node)
	}
	if p.profiles != "" {
		args = append(args, "-profile", filepath.Join(p.profiles, profileOf(who, l)))
	}
	return p.command(ctx, append(args, who.name))
}

func profileOf(who party, l load) string {
	if l.fansOut() {
		return fmt.Sprintf("%s-fanout-%dx%d.prof", who.name, l.connections, l.window)
	}
	return fmt.Sprintf("%s-%d-%dx%d.prof", who.name, l.size, l.connections, l.callers)
}

func (p programs) load(ctx context.Context, who party, l load, to control.Ready) *exec.Cmd {
	size, connections, callers := strconv.Itoa(l.size), strconv.Itoa(l.connections), strconv.Itoa(l.callers)
	switch {
	case l.idle:
		return p.command(ctx, []string{"hold", "-connections", connections, who.name, to.Address})
	case l.fansOut():
		return p.command(ctx, []string{
			"subscribe", "-size", size, "-subscribers", connections, "-window", strconv.Itoa(l.window),
			who.name, to.Address, to.Orders,
		})
	case who.load != nil:
		return p.node(ctx, append(slices.Clone(who.load), to.Address, size, connections, callers))
	}
	args := []string{"load", "-size", size, "-connections", connections, "-callers", callers, "-rate", strconv.Itoa(l.rate)}
	if p.profiles != "" {
		args = append(args, "-profile", filepath.Join(p.profiles, "load-"+profileOf(who, l)))
	}
	return p.command(ctx, append(args, who.name, to.Address))
}

func (p programs) command(ctx context.Context, args []string) *exec.Cmd {
	return gentle(exec.CommandContext(ctx, p.self, args...))
}

func (p programs) node(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = filepath.Join(p.root, socketIOFolder)
	cmd.Env = append(os.Environ(), "NODE_ENV=production")
	return gentle(cmd)
}

// gentle makes Wait end even where a killed process left its output open.
func gentle(cmd *exec.Cmd) *exec.Cmd {
	cmd.WaitDelay = time.Second
	return cmd
}
