package arpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

func TestStatsAreWhatIsThere(t *testing.T) {
	finish := make(chan struct{})
	far := arpc.NewHandler()
	far.SetLimits(arpc.Limits{Inflight: 1})
	far.Handle("/slow", func(ctx *arpc.Context) { <-finish; _ = ctx.Write(nil) })
	far.HandleStream("/stream", func(s *arpc.Stream) { <-finish })
	// A base peer is not held back, so what it sends waits at the other end.
	dialed, accepted := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far, arpc.WithHello(arpc.HelloNever))
	ended := make(chan error, 3)
	for range 3 {
		go func() { ended <- dialed.Call("/slow", "12345", nil, arpctest.Wait) }()
	}
	if err := dialed.NewStream("/stream").Send("open"); err != nil {
		t.Fatal(err)
	}
	arpctest.Eventually(t, "what both ends hold", func() bool {
		return dialed.Stats() == arpc.Stats{Connections: 1, Calls: 3, Streams: 1} &&
			accepted.Stats() == arpc.Stats{Connections: 1, Requests: 3, InboundFrames: 2, InboundBytes: 10, Streams: 1}
	})
	close(finish)
	for range 3 {
		if err := arpctest.Receive(t, ended, "end of a call"); err != nil {
			t.Error(err)
		}
	}
	arpctest.Eventually(t, "nothing left", func() bool {
		all := dialed.Stats()
		all.Add(accepted.Stats())
		return all == arpc.Stats{Connections: 2, Streams: all.Streams}
	})
	dialed.Stop()
	arpctest.Eventually(t, "no connection", func() bool { return dialed.Stats() == arpc.Stats{} })
}

func TestStatsCountWhatWaitsToBeSent(t *testing.T) {
	near, far := net.Pipe() // nobody reads far
	defer far.Close()
	h := arpc.NewHandler()
	c := h.ServeConn(near, arpc.Accepted{})
	for range 10 {
		if err := c.Notify("/n", "12345", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	s := c.Stats()
	if frame := wire.HeaderLen + len("/n12345"); s.OutboundFrames != 10 || s.OutboundBytes != 10*frame {
		t.Errorf("%+v, want 10 frames of %d bytes", s, frame)
	}
	far.Close()
	arpctest.Closed(t, c.Done(), "client")
}

func TestCloseReason(t *testing.T) {
	deadline := &net.OpError{Op: "write", Err: context.DeadlineExceeded}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("read: %w", io.EOF), arpc.ClosedByPeer},
		{&ws.CloseError{Code: ws.CloseGoingAway, Remote: true}, arpc.ClosedByPeer},
		{&ws.CloseError{Code: ws.CloseUnsupported}, arpc.ClosedByWebSocket},
		{&wire.FrameError{Reason: wire.BodyTooLong}, arpc.ClosedByFrame},
		{arpc.ErrStopped, arpc.ClosedByStop},
		{arpc.ErrUnauthenticated, arpc.ClosedUnauthenticated},
		{arpc.Errorf(arpc.CodeResourceExhausted, "256 of something"), arpc.ClosedByLimit},
		{errors.New("of a hook"), arpc.ClosedByError},
		{deadline, arpc.ClosedByError},
		{nil, arpc.ClosedByError},
	} {
		if got := arpc.CloseReason(tt.err); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

// What ends connections in earnest has its word.
func TestCloseReasonOfConnections(t *testing.T) {
	for name, tt := range map[string]struct {
		limits arpc.Limits
		act    func(t *testing.T, nc net.Conn, c *arpc.Client)
		want   string
	}{
		"hung up": {arpc.Limits{}, func(_ *testing.T, nc net.Conn, _ *arpc.Client) { nc.Close() }, arpc.ClosedByPeer},
		"reset": {arpc.Limits{}, func(t *testing.T, nc net.Conn, _ *arpc.Client) {
			if err := nc.(*net.TCPConn).SetLinger(0); err != nil {
				t.Error(err)
			}
			nc.Close()
		}, arpc.ClosedByReset},
		"silent": {arpc.Limits{FirstFrame: 20 * time.Millisecond}, func(*testing.T, net.Conn, *arpc.Client) {}, arpc.ClosedBySilence},
		"a bad frame": {arpc.Limits{}, func(t *testing.T, nc net.Conn, _ *arpc.Client) {
			if _, err := nc.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
				t.Error(err)
			}
		}, arpc.ClosedByFrame},
		"stopped": {arpc.Limits{}, func(_ *testing.T, _ net.Conn, c *arpc.Client) { c.Stop() }, arpc.ClosedByStop},
		"drained": {arpc.Limits{}, func(t *testing.T, _ net.Conn, c *arpc.Client) {
			if err := c.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		}, arpc.ClosedByDrain},
		"stuck": {arpc.Limits{Write: 20 * time.Millisecond}, func(_ *testing.T, _ net.Conn, c *arpc.Client) {
			for c.Notify("/n", make([]byte, 1<<20), time.Second) == nil {
			}
		}, arpc.ClosedBySlowness},
	} {
		t.Run(name, func(t *testing.T) {
			far, near := arpctest.Sockets(t)
			h := arpc.NewHandler()
			h.SetLogger(discard)
			h.SetLimits(tt.limits)
			c := h.ServeConn(far, arpc.Accepted{})
			tt.act(t, near, c)
			arpctest.Closed(t, c.Done(), "client")
			if got := arpc.CloseReason(c.Err()); got != tt.want {
				t.Errorf("%v: %s, want %s", c.Err(), got, tt.want)
			}
		})
	}
}
