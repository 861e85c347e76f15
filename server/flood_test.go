package server_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// heap is what is in use after everything that is not was collected.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// crowd opens connections that end with the test.
func (h *house) crowd(t testing.TB, n int, door func(i int) string) []*peer {
	t.Helper()
	all := make([]*peer, n)
	for i := range all {
		all[i] = h.knock(t, door(i))
	}
	return all
}

func alternating(i int) string { return doors[i%len(doors)] }

func TestSilentSocketsDoNotStarveHonestClients(t *testing.T) {
	const silent, honest = 500, 20
	h := open(t, limits(arpc.Limits{FirstFrame: 2 * time.Second}))
	crowd := h.crowd(t, silent, alternating)
	over := make(chan struct{})
	var calling sync.WaitGroup
	for i := range honest {
		c := dial(t, h.address(alternating(i)))
		calling.Go(func() {
			for calls := 0; ; calls++ {
				mustEcho(t, c)
				select {
				case <-over:
					if calls >= 10 {
						return
					}
				default:
				}
			}
		})
	}
	for _, p := range crowd {
		if p.end(t) == nil {
			t.Error("not closed")
		}
	}
	close(over)
	calling.Wait()
	arpctest.Eventually(t, "only the honest ones", func() bool { return len(h.Clients()) == honest })
	for range silent {
		h.expectEnd(t, "no whole frame")
	}
}

// TestClaimedLengthsAllocateNothing: a header is a promise, and memory is for
// what arrived.
func TestClaimedLengthsAllocateNothing(t *testing.T) {
	const sockets, allowed = 1000, 16 << 20
	h := open(t, nil)
	before := heap()
	for i := range sockets {
		p := h.knock(t, "tcp")
		claim := uint32(wire.MaxBody - i%2)
		p.send(t, wire.Header{BodyLen: claim, Cmd: wire.Request, MethodLen: 5, Seq: 1}.Append(nil))
	}
	arpctest.Eventually(t, "connections", func() bool { return h.Stats().Connections == sockets })
	c := dial(t, h.tcp)
	mustEcho(t, c) // what was sent before it has been read, or is about to be
	if grown := heap() - before; grown > allowed {
		t.Errorf("the heap grew by %d bytes for %d that were sent, at most %d are allowed", grown, 16*sockets, allowed)
	}
}

// TestCallsThatAreNeverReadAreBounded: the answers pile up as far as the queues
// reach, then the reader stops, then the write deadline ends it.
func TestCallsThatAreNeverReadAreBounded(t *testing.T) {
	const calls, inflight, queue = 30_000, 32, 1 << 20
	short := arpc.Limits{Write: 300 * time.Millisecond, Inflight: inflight, QueueBytes: queue, SendBytes: queue}
	for mode, name := range map[arpc.Mode]string{arpc.Auto: "auto", arpc.Inline: "inline", arpc.Ordered: "ordered"} {
		t.Run(name, func(t *testing.T) {
			setup := func(s *server.Server) {
				s.Handler.SetLimits(short)
				s.Handler.Handle("/big", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) }, mode)
			}
			eachDoor(t, setup, func(t *testing.T, h *house, door string) {
				p := h.knock(t, door)
				p.send(t, request(0, "/echo", ""))
				p.until(t, wire.Response)
				body := strings.Repeat("x", 1000)
				memory, goroutines := heap(), runtime.NumGoroutine()
				flooding := make(chan struct{})
				go func() {
					defer close(flooding)
					for i := range calls {
						if _, err := p.Write(request(uint64(i), "/big", body)); err != nil {
							return
						}
					}
					t.Error("all calls were taken")
				}()
				most := 0
				arpctest.Eventually(t, "the end", func() bool {
					most = max(most, runtime.NumGoroutine())
					return len(h.ended) > 0
				})
				h.expectEnd(t, "i/o timeout")
				p.Close()
				<-flooding
				if grown := most - goroutines; grown > 2*inflight+16 { // workers may overlap, and some rest
					t.Errorf("%d goroutines more", grown)
				}
				arpctest.Eventually(t, "memory given back", func() bool { return heap()-memory < 1<<20 })
			})
		})
	}
}

// TestMemoryOfCallsThatAreNeverRead is the same while it lasts.
func TestMemoryOfCallsThatAreNeverRead(t *testing.T) {
	const queue = 1 << 20
	setup := limits(arpc.Limits{Inflight: 32, QueueBytes: queue, SendBytes: queue})
	eachDoor(t, setup, func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		p.send(t, request(0, "/echo", ""))
		p.until(t, wire.Response)
		before := heap()
		body := strings.Repeat("x", 1000)
		taken := make(chan int, 1)
		go func() {
			n := 0
			for ; n < 30_000; n++ {
				_ = p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) // until nothing moves any more
				if _, err := p.Write(request(uint64(n), "/echo", body)); err != nil {
					break
				}
			}
			taken <- n
		}()
		if n := arpctest.Receive(t, taken, "flood"); n == 30_000 {
			t.Error("all calls were taken")
		}
		// Both queues, each with the slack of the buffers that hold it.
		if grown := heap() - before; grown > 4*2*queue {
			t.Errorf("the heap grew by %d bytes", grown)
		}
	})
}

// TestAnswersThatNobodyAskedForHarmNothing: an original peer froze when it was
// answered twice.
func TestAnswersThatNobodyAskedForHarmNothing(t *testing.T) {
	answer := func(seq uint64, body string) []byte {
		return wire.Append(nil, wire.Header{Cmd: wire.Response, Seq: seq}, "/any", []byte(body))
	}
	eachDoor(t, nil, func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		p.send(t, request(1, "/echo", ""))
		p.until(t, wire.Response)
		c := h.Clients()[0]
		answering := make(chan struct{})
		go func() {
			defer close(answering)
			for {
				f, err := p.next()
				if err != nil {
					return
				}
				var all []byte
				for range 50 {
					all = append(all, answer(f.Seq, string(f.Body))...)
				}
				for _, seq := range []uint64{0, f.Seq + 1, f.Seq - 1<<16, 1<<53 + 1, 1<<64 - 1} {
					all = append(all, answer(seq, "unasked")...)
				}
				if _, err := p.Write(all); err != nil {
					return
				}
			}
		}()
		for i := range 1000 {
			var got string
			if err := c.Call("/any", fmt.Sprint(i), &got, arpctest.Wait); err != nil || got != fmt.Sprint(i) {
				t.Fatalf("call %d: %q, %v", i, got, err)
			}
		}
		p.Close()
		<-answering
	})
}

// TestAClientOutlivesDuplicateAnswers is the same from the side that dialed.
func TestAClientOutlivesDuplicateAnswers(t *testing.T) {
	ln := arpctest.Listen(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := &peer{conn, wire.NewDecoder(wire.MaxBody)}
		for {
			f, err := p.next()
			if err != nil {
				return
			}
			one := wire.Append(nil, wire.Header{Cmd: wire.Response, Seq: f.Seq}, string(f.Method), f.Body)
			if _, err := p.Write([]byte(strings.Repeat(string(one), 50))); err != nil {
				return
			}
		}
	}()
	c := dial(t, "tcp://"+ln.Addr().String())
	for i := range 1000 {
		var got string
		if err := c.Call("/any", fmt.Sprint(i), &got, arpctest.Wait); err != nil || got != fmt.Sprint(i) {
			t.Fatalf("call %d: %q, %v", i, got, err)
		}
	}
	ln.Close()
	c.Stop()
	<-served
}

func TestPingsAreAnsweredInOrderHoweverMany(t *testing.T) {
	const pings = 20_000
	eachDoor(t, nil, func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		sent := make(chan error, 1)
		go func() {
			for i := range uint64(pings) {
				if _, err := p.Write(wire.Header{Cmd: wire.Ping, Seq: i}.Append(nil)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range uint64(pings) {
			if f := p.until(t, wire.Pong); f.Seq != i {
				t.Fatalf("pong %d, want %d", f.Seq, i)
			}
		}
		if err := arpctest.Receive(t, sent, "pings"); err != nil {
			t.Error(err)
		}
		p.send(t, request(1, "/echo", "after them"))
		if f := p.until(t, wire.Response); string(f.Body) != "after them" {
			t.Errorf("answer %q", f.Body)
		}
	})
}

// TestPongsThatAreNeverReadEndTheConnection: pings are answered without waiting
// for room, and so there has to be an end to it.
func TestPongsThatAreNeverReadEndTheConnection(t *testing.T) {
	for name, ping := range map[string]func(*peer) []byte{
		"arpc":      func(*peer) []byte { return wire.Header{Cmd: wire.Ping}.Append(nil) },
		"websocket": func(*peer) []byte { return append([]byte{0x89, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, limits(arpc.Limits{SendFrames: 64, SendBytes: 64 << 10}))
			door := map[string]string{"arpc": "tcp", "websocket": "websocket"}[name]
			p := h.knock(t, door)
			before := heap()
			flood := []byte(strings.Repeat(string(ping(p)), 1000))
			flooding := make(chan struct{})
			go func() {
				defer close(flooding)
				for range 100_000 {
					if _, err := p.below().Write(flood); err != nil {
						return
					}
				}
				t.Error("all pings were taken")
			}()
			h.expectEnd(t, "answers are not read")
			p.Close()
			<-flooding
			arpctest.Eventually(t, "memory given back", func() bool { return heap()-before < 1<<20 })
		})
	}
}

// TestHalfAHandshakeHoldsNothing of the server's: until it is whole it belongs
// to net/http and its deadlines.
func TestHalfAHandshakeHoldsNothing(t *testing.T) {
	h := open(t, nil, server.MaxLoad(1))
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.web, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: webso"); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, dial(t, h.web))
}

// TestConnectionsThatBreakAnywhereLeaveNothing: goleak and the registry say so.
func TestConnectionsThatBreakAnywhereLeaveNothing(t *testing.T) {
	eachDoor(t, atOnce, func(t *testing.T, h *house, door string) {
		frame := request(1, "/echo", "hello")
		if door == "websocket" {
			p := h.knock(t, door)
			frame = p.Conn.(*ws.Conn).AppendMessage(nil, frame)
			p.Close()
		}
		for cut := range len(frame) + 1 {
			p := h.knock(t, door)
			if _, err := p.below().Write(frame[:cut]); err != nil {
				t.Fatal(err)
			}
			if cut%2 == 0 {
				_ = p.below().(*net.TCPConn).SetLinger(0) // a reset, where the others are a FIN
			}
			p.Close()
		}
		arpctest.Eventually(t, "nothing", func() bool { return h.Stats() == arpc.Stats{} && len(h.Clients()) == 0 })
		mustEcho(t, dial(t, h.address(door)))
	})
}
