package arpc_test

import (
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// TestARestedConnectionKnowsWhatLeft: a call waits while its connection gives up
// its buffers, and then the connection is lost. The request has left.
func TestARestedConnectionKnowsWhatLeft(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			far := arpc.NewHandler()
			far.SetLimits(arpc.Limits{Grace: -1})
			called := make(chan struct{}, 10)
			far.Handle("/pay", func(ctx *arpc.Context) { called <- struct{}{}; <-ctx.Done() })
			accepted := make(chan net.Conn, 10)
			dial := tr.Open(t, func(nc net.Conn, a arpc.Accepted) {
				accepted <- nc
				far.ServeConn(nc, a)
			})
			c, err := arpc.NewClient(dial, arpc.WithBackoff(soon))
			if err != nil {
				t.Fatal(err)
			}
			isSentOnce(t, c, called, func() {
				c.Rest()
				arpctest.Receive(t, accepted, "connection").Close()
			})
		})
	}
}

// TestTheDeadlineOfAHookHolds: the first that passes ends the connection. What a
// hook sets before each read is not taken for the engine's own. There is one
// connection, and no deadline before its call is answered, however long that takes.
func TestTheDeadlineOfAHookHolds(t *testing.T) {
	for _, tr := range arpctest.Transports[1:] {
		t.Run(tr.Name, func(t *testing.T) {
			far := arpc.NewHandler()
			far.SetLimits(arpc.Limits{Grace: -1})
			var reads, before int // on the reading goroutine, until it ended
			far.Handle("/echo", func(ctx *arpc.Context) { before = reads; echo(ctx) }, arpc.Inline)
			ended := make(chan error, 1)
			far.HandleDisconnected(func(_ *arpc.Client, err error) { ended <- err })
			far.BeforeRecv(func(nc net.Conn) error {
				reads++
				if before == 0 {
					return nil
				}
				return nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			})
			open := tr.Open(t, func(nc net.Conn, a arpc.Accepted) { far.ServeConn(nc, a) })
			var dialed atomic.Bool
			c, err := arpc.NewClient(func() (net.Conn, error) {
				if dialed.Swap(true) {
					return nil, errDown
				}
				return open()
			}, arpc.WithBackoff(soon))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Call("/echo", "x", nil, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			if err := arpctest.Receive(t, ended, "end of the connection"); err == nil || !strings.HasSuffix(err.Error(), os.ErrDeadlineExceeded.Error()) {
				t.Errorf("it ended with %v", err)
			}
			if reads != before+1 {
				t.Errorf("the deadline passed %d times before it counted", reads-before-1)
			}
			c.Stop()
			arpctest.Closed(t, c.Done(), "client")
		})
	}
}

func TestARestedConnectionGoesOn(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/echo", echo)
	}, func(t *testing.T, near *arpc.Client) {
		for _, text := range []string{"a", strings.Repeat("long", 5000), ""} {
			var got string
			if err := near.Call("/echo", text, &got, arpctest.Wait); err != nil || got != text {
				t.Fatalf("%.20q, %v", got, err)
			}
			near.Rest()
		}
	})
}

// TestAHandlerThatBlocksHoldsUpNobody: workers are woken one after the other,
// and each wakes the next before it runs a handler.
func TestAHandlerThatBlocksHoldsUpNobody(t *testing.T) {
	const blocked = 300
	release := make(chan struct{})
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/block", func(ctx *arpc.Context) { <-release; _ = ctx.Write(nil) })
		far.Handle("/echo", echo)
	}, func(t *testing.T, near *arpc.Client) {
		release = make(chan struct{})
		done := make(chan error, blocked)
		for range blocked {
			go func() { done <- near.Call("/block", nil, nil, arpctest.Wait) }()
		}
		var got string
		for range 10 {
			if err := near.Call("/echo", "past them", &got, arpctest.Wait); err != nil || got != "past them" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		close(release)
		for range blocked {
			if err := arpctest.Receive(t, done, "blocked call"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
