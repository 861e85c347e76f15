package process

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
	"github.com/seed-fbfaa03e/arpc/bench/fanout"
)

// Every contender delivers everything to everybody, with a window and without.
func TestEveryContenderFansOut(t *testing.T) {
	for _, c := range fanout.All {
		if c.New == nil {
			continue // its server is a program, which the benchmark checks when it runs
		}
		t.Run(c.Name, func(t *testing.T) {
			for _, window := range []int{1, 16} {
				fanOut(t, c, window)
			}
		})
	}
}

func fanOut(t *testing.T, c fanout.Contender, window int) {
	t.Helper()
	const subscribers, size = 40, 128
	p, into, orders := c.New(), listen(t), listen(t)
	go func() { _ = p.Serve(into) }() // it ends with the listener
	failed := make(chan error, 1)
	go func() { failed <- takeOrders(orders, p, size) }()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	links, err := comeIn(ctx, c.Protocol, into.Addr().String(), subscribers)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", orders.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := audience.New(c.Protocol, links, conn, size, window)
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := a.Run(30 * time.Millisecond)
	if err != nil {
		t.Error(err)
	}
	if outcome.Calls < subscribers || outcome.Calls%subscribers != 0 || outcome.Lost != 0 {
		t.Errorf("window %d: outcome %+v", window, outcome)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err != nil {
		t.Errorf("window %d: %v", window, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}
