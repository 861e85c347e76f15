package process

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/contender"
	"github.com/seed-fbfaa03e/arpc/bench/control"
	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

// A loop makes calls for a time.
type loop func(time.Duration) (control.Outcome, error)

// Load opens connections and makes calls on them whenever it is told to: load
// [flags] CONTENDER ADDRESS.
func Load(args []string) error {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	size := flags.Int("size", 64, "`bytes` of text in a call")
	connections := flags.Int("connections", 8, "how many connections")
	callers := flags.Int("callers", 10, "calls in flight on each")
	rate := flags.Int("rate", 0, "calls a second in all; 0 makes as many as answers come")
	profile := flags.String("profile", "", "write a CPU profile to this `file`")
	_ = flags.Parse(args) // it exits instead
	c, err := contender.Named(flags.Arg(0))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	target := contender.Target{
		Context: ctx,
		Dialer:  new(net.Dialer),
		Address: flags.Arg(1),
		Text:    strings.Repeat("x", *size),
	}
	run, err := loopOf(c, target, *connections, *callers, *rate)
	if err != nil {
		return err
	}
	stop, err := startProfile(*profile)
	if err != nil {
		return err
	}
	err = control.Obey(os.Stdin, os.Stdout, control.Ready{}, func(c control.Command) (any, error) {
		return run(time.Duration(c.Seconds * float64(time.Second)))
	})
	return errors.Join(err, stop())
}

// loopOf opens the connections and says what is to be done on them.
func loopOf(c contender.Contender, t contender.Target, connections, callers, rate int) (loop, error) {
	if c.Open != nil && rate == 0 {
		pipes, err := open(connections, func() (drive.Pipe, error) { return c.Open(t) })
		return func(d time.Duration) (control.Outcome, error) { return drive.Windows(pipes, callers, d) }, err
	}
	if c.Dial == nil {
		return nil, fmt.Errorf("%s makes no calls", c.Name)
	}
	all, err := open(connections, func() (drive.Caller, error) { return c.Dial(t) })
	if rate > 0 {
		return func(d time.Duration) (control.Outcome, error) { return drive.Steady(all, callers, rate, d) }, err
	}
	return func(d time.Duration) (control.Outcome, error) { return drive.Callers(all, callers, d) }, err
}

func open[C any](n int, one func() (C, error)) ([]C, error) {
	all := make([]C, n)
	for i := range all {
		c, err := one()
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		all[i] = c
	}
	return all, nil
}
