package process

import (
	"flag"
	"fmt"
	"net"
	"os"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
	"github.com/seed-fbfaa03e/arpc/bench/control"
	"github.com/seed-fbfaa03e/arpc/bench/fanout"
)

// maxOrders is how many publications are read about at once.
const maxOrders = 1024

// Publish lets subscribers in and publishes to them whenever it is ordered to,
// until standard input ends: publish [-profile FILE] [-size BYTES] CONTENDER.
func Publish(args []string) error {
	flags := flag.NewFlagSet("publish", flag.ExitOnError)
	profile := flags.String("profile", "", "write a CPU profile to this `file`")
	size := flags.Int("size", 128, "`bytes` of text in a publication")
	_ = flags.Parse(args) // it exits instead
	c, err := fanout.Named(flags.Arg(0))
	if err != nil {
		return err
	}
	if c.New == nil {
		return fmt.Errorf("the server of %s is another program", c.Name)
	}
	subscribers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	orders, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop, err := startProfile(*profile)
	if err != nil {
		return err
	}
	p := c.New()
	mustGoOn("let subscribers in", func() error { return p.Serve(subscribers) })
	mustGoOn("take orders", func() error { return takeOrders(orders, p, *size) })
	ready := control.Ready{Address: subscribers.Addr().String(), Orders: orders.Addr().String()}
	if err := control.Obey(os.Stdin, os.Stdout, ready, tell); err != nil {
		return err
	}
	return stop()
}

// mustGoOn runs what the server is no use without.
func mustGoOn(what string, run func() error) {
	go func() {
		if err := run(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", what, err)
			os.Exit(1)
		}
	}()
}

// takeOrders publishes once for each byte of one connection, until that ends.
func takeOrders(ln net.Listener, p fanout.Publisher, size int) error {
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, maxOrders)
	for number := uint64(1); ; {
		n, err := conn.Read(buf)
		if err != nil {
			return nil // the load is done
		}
		for range n {
			if err := p.Publish(audience.AppendText(nil, number, size)); err != nil {
				return fmt.Errorf("publish %d: %w", number, err)
			}
			number++
		}
	}
}
