package process

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
	"github.com/seed-fbfaa03e/arpc/bench/control"
	"github.com/seed-fbfaa03e/arpc/bench/fanout"
)

// Subscribe opens subscribers and orders publications for them whenever it is
// told to: subscribe [flags] CONTENDER ADDRESS ORDERS.
func Subscribe(args []string) error {
	flags := flag.NewFlagSet("subscribe", flag.ExitOnError)
	size := flags.Int("size", 128, "`bytes` of text in a publication")
	subscribers := flags.Int("subscribers", 1000, "how many subscribers")
	window := flags.Int("window", 16, "publications in flight")
	_ = flags.Parse(args) // it exits instead
	c, err := fanout.Named(flags.Arg(0))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	links, err := comeIn(ctx, c.Protocol, flags.Arg(1), *subscribers)
	if err != nil {
		return err
	}
	orders, err := new(net.Dialer).DialContext(ctx, "tcp", flags.Arg(2))
	if err != nil {
		return fmt.Errorf("connect for orders: %w", err)
	}
	a, err := audience.New(c.Protocol, links, orders, *size, *window)
	if err != nil {
		return err
	}
	err = control.Obey(os.Stdin, os.Stdout, control.Ready{}, func(c control.Command) (any, error) {
		return a.Run(time.Duration(c.Seconds * float64(time.Second)))
	})
	return errors.Join(err, a.Close(), orders.Close())
}

// comeIn opens n subscribers, openers at a time.
func comeIn(ctx context.Context, p audience.Protocol, address string, n int) ([]*audience.Link, error) {
	links := make([]*audience.Link, n)
	failures := make([]error, openers)
	var all sync.WaitGroup
	for k := range openers {
		all.Go(func() {
			for i := k; i < n && failures[k] == nil; i += openers {
				links[i], failures[k] = comeInOne(ctx, p, address, i)
			}
		})
	}
	all.Wait()
	return links, errors.Join(failures...)
}

func comeInOne(ctx context.Context, p audience.Protocol, address string, i int) (*audience.Link, error) {
	l, err := audience.Open(ctx, dialerOf(i), address, p.Path)
	if err != nil {
		return nil, fmt.Errorf("subscriber %d: %w", i, err)
	}
	if err := p.Greet(l); err != nil {
		return nil, errors.Join(fmt.Errorf("subscriber %d: %w", i, err), l.Close())
	}
	return l, nil
}
