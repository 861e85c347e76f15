package arpc_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// peerThat answers /at/once, /late after five seconds, and /never.
func peerThat() *arpc.Handler {
	far := arpc.NewHandler()
	far.Handle("/at/once", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	far.Handle("/late", func(ctx *arpc.Context) {
		time.Sleep(5 * time.Second)
		_ = ctx.Write(nil)
	})
	far.Handle("/never", func(ctx *arpc.Context) { <-ctx.Done() })
	return far
}

// All calls of a client share a timer, and each expires at its own time, whatever
// the order they began in.
func TestCallsExpireEachAtItsTime(t *testing.T) {
	for name, timeouts := range map[string][]time.Duration{
		"later ones first": {3 * time.Second, time.Second, 2 * time.Second, time.Second},
		"close together":   {time.Second, time.Second + 10*time.Microsecond, time.Second + 20*time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, _ := arpctest.Transports[0].Connect(t, arpc.NewHandler(), peerThat())
				var all sync.WaitGroup
				for _, timeout := range timeouts {
					began := time.Now()
					all.Go(func() {
						err := near.Call("/never", nil, nil, timeout)
						late := time.Since(began) - timeout
						if !errors.Is(err, arpc.ErrTimeout) || late < 0 || late > time.Millisecond {
							t.Errorf("timeout %v: %v late, %v", timeout, late, err)
						}
					})
					synctest.Wait()
				}
				all.Wait()
			})
		})
	}
}

// A call that has its answer leaves no deadline to the next one in its place.
func TestDeadlinesAreNotInherited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := arpctest.Transports[0].Connect(t, arpc.NewHandler(), peerThat())
		if err := near.Call("/at/once", nil, nil, time.Second); err != nil {
			t.Error(err)
		}
		if err := near.CallWith(context.Background(), "/late", nil, nil); err != nil {
			t.Error(err)
		}
	})
}

// The calls of the next connection expire, whatever became of those before.
func TestCallsExpireOnTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := arpctest.Transports[0].Connect(t, arpc.NewHandler(), peerThat())
		failed := make(chan error)
		go func() { failed <- near.Call("/never", nil, nil, 10*time.Second) }()
		synctest.Wait()
		far.Stop()
		if err := <-failed; !errors.Is(err, arpc.ErrDisconnected) {
			t.Error(err)
		}
		if err := near.Call("/never", nil, nil, 20*time.Second); !errors.Is(err, arpc.ErrTimeout) {
			t.Error(err)
		}
	})
}

// What a call may still have waited for does not hold the client that it failed with.
func TestLongTimeoutsDoNotHoldTheClient(t *testing.T) {
	dial := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { peerThat().ServeConn(nc, a) })
	gone := func() weak.Pointer[arpc.Client] {
		c, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()))
		if err != nil {
			t.Fatal(err)
		}
		failed := make(chan error)
		go func() { failed <- c.Call("/never", nil, nil, time.Hour) }()
		arpctest.Eventually(t, "call", func() bool { return c.PendingCalls() == 1 })
		c.Stop()
		arpctest.Closed(t, c.Done(), "client")
		if err := arpctest.Receive(t, failed, "failure"); !errors.Is(err, arpc.ErrDisconnected) {
			t.Error(err)
		}
		return weak.Make(c)
	}()
	arpctest.Eventually(t, "collection", func() bool {
		runtime.GC()
		return gone.Value() == nil
	})
}
