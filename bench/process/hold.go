package process

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/contender"
	"github.com/seed-fbfaa03e/arpc/bench/control"
	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

const (
	// openers is how many connections are opened at a time.
	openers = 32
	// sources is how many loopback addresses they come from, so that ports do
	// not run out.
	sources = 4
)

// Hold opens connections, makes one call on each, and holds them until standard
// input ends: hold [-connections N] CONTENDER ADDRESS.
func Hold(args []string) error {
	flags := flag.NewFlagSet("hold", flag.ExitOnError)
	connections := flags.Int("connections", 10000, "how many connections")
	_ = flags.Parse(args) // it exits instead
	c, err := contender.Named(flags.Arg(0))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Now()
	held, err := openAll(ctx, c, flags.Arg(1), *connections)
	if err != nil {
		return err
	}
	ready := control.Ready{Seconds: time.Since(start).Seconds()}
	return control.Obey(os.Stdin, os.Stdout, ready, func(c control.Command) (any, error) {
		return nil, fmt.Errorf("%d connections are held, nothing else is done", len(held))
	})
}

// openAll opens n connections, openers at a time.
func openAll(ctx context.Context, c contender.Contender, address string, n int) ([]any, error) {
	held := make([]any, n)
	failures := make([]error, openers)
	var all sync.WaitGroup
	for k := range openers {
		all.Go(func() {
			for i := k; i < n && failures[k] == nil; i += openers {
				held[i], failures[k] = openUsed(c, target(ctx, address, i))
			}
		})
	}
	all.Wait()
	return held, errors.Join(failures...)
}

func target(ctx context.Context, address string, i int) contender.Target {
	return contender.Target{
		Context: ctx,
		Dialer:  dialerOf(i),
		Address: address,
		Text:    strings.Repeat("x", 64),
	}
}

// dialerOf opens the connection i, from the source whose turn it is.
func dialerOf(i int) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%sources))}}
}

// openUsed opens a connection and makes a call on it, so that what is made on
// first use is there.
func openUsed(c contender.Contender, t contender.Target) (any, error) {
	if c.Dial != nil {
		caller, err := c.Dial(t)
		if err != nil {
			return nil, err
		}
		return caller, caller.Call()
	}
	pipe, err := c.Open(t)
	if err != nil {
		return nil, err
	}
	return pipe, roundTrip(pipe)
}

func roundTrip(p drive.Pipe) error {
	if err := p.Send(); err != nil {
		return err
	}
	if err := p.Flush(); err != nil {
		return err
	}
	return p.Receive()
}
