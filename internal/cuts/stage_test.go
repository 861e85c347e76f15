package cuts_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
	"github.com/seed-fbfaa03e/arpc/server"
)

// doors are the ways into a server.
var doors = []string{"tcp", "websocket"}

// atOnce dials again at once.
var atOnce = arpc.Backoff{First: time.Millisecond, Max: 5 * time.Millisecond, Stable: time.Millisecond}

// hooks counts what hooks tell of one end.
type hooks struct {
	connected, paused, resumed, disconnected, misses atomic.Int64
}

func (k *hooks) watch(h *arpc.Handler) {
	h.HandleConnected(func(*arpc.Client) { k.connected.Add(1) })
	h.HandlePaused(func(*arpc.Client, error) { k.paused.Add(1) })
	h.HandleResumed(func(*arpc.Client) { k.resumed.Add(1) })
	h.HandleDisconnected(func(*arpc.Client, error) { k.disconnected.Add(1) })
	h.HandleSessionMiss(func(*arpc.Client, *arpc.Message) { k.misses.Add(1) })
}

// A stage is a server with a Proxy in front, and what its ends did.
type stage struct {
	*ledger
	server   *server.Server
	proxy    *cuts.Proxy
	address  string            // of the proxy, as Dial takes it
	accepted chan *arpc.Client // of the first session
	ended    atomic.Int64      // how often its disconnected hook ran
	at       struct{ client, server hooks }
	close    func() error
}

// open opens a stage. limits are those of both ends.
func open(door string, limits arpc.Limits, config cuts.Config) (*stage, error) {
	st := &stage{ledger: newLedger(), server: server.New(), accepted: make(chan *arpc.Client, 1)}
	h := st.server.Handler
	h.SetLimits(limits)
	st.routes(h)
	st.at.server.watch(h)
	var first sync.Once
	h.HandleConnected(func(c *arpc.Client) {
		first.Do(func() { // others are attempts to come back that ended before they said so
			c.OnDisconnected(func(*arpc.Client) { st.ended.Add(1) })
			st.accepted <- c
		})
	})
	stop, err := st.listen(door, &config)
	if err != nil {
		return nil, err
	}
	st.proxy, err = cuts.NewProxy(config)
	if err != nil {
		return nil, err
	}
	st.address = map[string]string{"tcp": "tcp://", "websocket": "ws://"}[door] + st.proxy.Address
	st.close = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), arpctest.Wait)
		defer cancel()
		err := st.server.Shutdown(ctx)
		stop()
		if failure := st.proxy.Close(); err == nil {
			err = failure
		}
		return err
	})
	return st, nil
}

// listen opens the door of the server, whose address it puts into config.
func (st *stage) listen(door string, config *cuts.Config) (stop func(), err error) {
	if door == "websocket" {
		site := httptest.NewServer(st.server.WebSocket())
		config.Server = site.Listener.Addr().String()
		return site.Close, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a stage: %w", err)
	}
	config.Server = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- st.server.Serve(listener) }()
	return func() { <-served }, nil
}

// stages opens a stage that ends with the test.
func stages(t testing.TB, door string, limits arpc.Limits, config cuts.Config) *stage {
	t.Helper()
	st, err := open(door, limits, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.close(); err != nil {
			t.Errorf("close the stage: %v", err)
		}
	})
	return st
}

// dial connects a client through the proxy.
func (st *stage) dial(limits arpc.Limits, opts ...arpc.ClientOption) (*arpc.Client, error) {
	h := arpc.NewHandler()
	h.SetLimits(limits)
	st.routes(h)
	st.at.client.watch(h)
	ctx, cancel := context.WithTimeout(context.Background(), arpctest.Wait)
	defer cancel()
	return arpc.Dial(ctx, st.address, append(opts, arpc.WithHandler(h), arpc.WithBackoff(atOnce))...)
}
