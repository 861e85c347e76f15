package server_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// drip sends bytes one by one until the connection is closed or all are sent.
func drip(p *peer, bytes []byte, pace time.Duration) (sent int) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := range bytes {
		if _, err := p.below().Write(bytes[i : i+1]); err != nil {
			return i
		}
		<-tick.C
	}
	return len(bytes)
}

// assertTold: a WebSocket is told the reason, with a code.
func assertTold(t *testing.T, door string, end error, code int, reason string) {
	t.Helper()
	if door == "tcp" {
		return // no words for it
	}
	var closed *ws.CloseError
	if !errors.As(end, &closed) || !closed.Remote || closed.Code != code || closed.Reason != reason {
		t.Errorf("the peer was told %v, want %d %q", end, code, reason)
	}
}

func TestASilentConnectionIsClosedAndOneThatAnswersPingsLives(t *testing.T) {
	eachDoor(t, limits(arpc.Limits{FirstFrame: 2 * time.Second}), func(t *testing.T, h *house, door string) {
		silent, listening := h.knock(t, door), h.knock(t, door)
		for _, p := range []*peer{silent, listening} {
			if ping := p.until(t, wire.Ping); len(ping.Body) != 0 {
				t.Errorf("ping %+v", ping)
			}
		}
		listening.send(t, wire.Header{Cmd: wire.Pong}.Append(nil))
		assertTold(t, door, silent.end(t), ws.ClosePolicy, "no whole frame within 2s")
		h.expectEnd(t, "no whole frame within 2s")
		listening.send(t, request(1, "/echo", "still here"))
		if f := listening.until(t, wire.Response); string(f.Body) != "still here" {
			t.Errorf("answer %q", f.Body)
		}
	})
}

// TestAFirstFrameByteByByteIsNotWaitedFor: each byte is a sign of life, and the
// deadline stands all the same.
func TestAFirstFrameByteByByteIsNotWaitedFor(t *testing.T) {
	eachDoor(t, limits(arpc.Limits{FirstFrame: 300 * time.Millisecond}), func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		frame := request(1, "/echo", string(make([]byte, 10_000)))
		if c, ok := p.Conn.(*ws.Conn); ok {
			frame = c.AppendMessage(nil, frame)
		}
		dripped := make(chan int, 1)
		go func() { dripped <- drip(p, frame, 5*time.Millisecond) }()
		if end := p.end(t); end == nil {
			t.Error("not closed")
		}
		p.Close()
		if n := arpctest.Receive(t, dripped, "drip"); n == len(frame) {
			t.Error("the whole frame was waited for")
		}
		h.expectEnd(t, "no whole frame within 300ms")
	})
}

// TestAWebSocketMessageHasToBeWhole in its time, though earlier ones were.
func TestAWebSocketMessageHasToBeWhole(t *testing.T) {
	h := open(t, limits(arpc.Limits{Message: 100 * time.Millisecond}))
	p := h.knock(t, "websocket")
	p.send(t, request(1, "/echo", "first"))
	p.until(t, wire.Response)
	message := p.Conn.(*ws.Conn).AppendMessage(nil, request(2, "/echo", string(make([]byte, 10_000))))
	dripped := make(chan int, 1)
	go func() { dripped <- drip(p, message, 5*time.Millisecond) }()
	assertTold(t, "websocket", p.end(t), ws.ClosePolicy, "message not whole in time")
	h.expectEnd(t, "message not whole in time")
	p.Close()
	if n := arpctest.Receive(t, dripped, "drip"); n == len(message) {
		t.Error("the whole message was waited for")
	}
}

func TestADeadPeerIsClosedAndOneThatAnswersPingsLives(t *testing.T) {
	short := arpc.Limits{FirstFrame: 2 * time.Second, Ping: 100 * time.Millisecond, Idle: 2 * time.Second}
	eachDoor(t, limits(short), func(t *testing.T, h *house, door string) {
		dead, alive := h.knock(t, door), h.knock(t, door)
		for _, p := range []*peer{dead, alive} {
			p.send(t, request(1, "/echo", "hello"))
			p.until(t, wire.Response)
		}
		over := make(chan struct{})
		var answering sync.WaitGroup
		answering.Go(func() {
			for {
				f, err := alive.next()
				select {
				case <-over:
					return
				default:
				}
				switch {
				case err != nil:
					t.Errorf("the peer that answers pings: %v", err)
					return
				case f.Cmd == wire.Ping:
					_, err = alive.Write(wire.Header{Cmd: wire.Pong, Seq: f.Seq}.Append(nil))
				case f.Cmd == wire.Response:
					return
				}
				if err != nil {
					t.Errorf("pong: %v", err)
					return
				}
			}
		})
		assertTold(t, door, dead.end(t), ws.ClosePolicy, "nothing heard for 2s")
		h.expectEnd(t, "nothing heard for 2s")
		alive.send(t, request(2, "/echo", "still here"))
		answering.Wait()
		close(over)
	})
}

// TestAPeerThatNeverReadsIsClosed by the write deadline, and whoever waits to
// send to it is told.
func TestAPeerThatNeverReadsIsClosed(t *testing.T) {
	eachDoor(t, limits(arpc.Limits{Write: 300 * time.Millisecond, SendFrames: 16}), func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		p.send(t, request(1, "/echo", ""))
		p.until(t, wire.Response)
		c := h.Clients()[0]
		body := make([]byte, 100_000)
		var err error
		for range 1000 { // 100 MB: more than sockets hold
			if err = c.Notify("/news", body, arpctest.Wait); err != nil {
				break
			}
		}
		if err == nil {
			t.Error("everything was sent")
		}
		h.expectEnd(t, "i/o timeout")
		arpctest.Closed(t, c.Done(), "client")
	})
}
