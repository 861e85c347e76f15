package arpc_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// echoStream sends everything back, and ends when the peer does.
func echoStream(s *arpc.Stream) {
	for m, err := range s.Messages() {
		if err != nil || s.Send(m) != nil {
			return
		}
	}
}

func isExtended(t *testing.T) bool { return strings.Contains(t.Name(), "/extended/") }

func TestStreamsEcho(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) { far.HandleStream("/echo", echoStream) }, func(t *testing.T, near *arpc.Client) {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				s := near.NewStream("/echo")
				for j := range 50 {
					want := fmt.Sprint(i, ".", j)
					if err := s.Send(want); err != nil {
						t.Errorf("send: %v", err)
						return
					}
					var got string
					if err := s.Recv(&got); err != nil || got != want {
						t.Errorf("%q, %v; want %q", got, err, want)
						return
					}
				}
				if err := s.CloseSend(); err != nil {
					t.Error(err)
				}
				if err := s.Recv(nil); !errors.Is(err, io.EOF) {
					t.Errorf("after the end: %v", err)
				}
				if err := s.Send("more"); !errors.Is(err, arpc.ErrStreamClosed) {
					t.Errorf("send after the end: %v", err)
				}
				<-s.Context().Done()
			})
		}
		all.Wait()
	})
}

// sum answers the end of a stream with how many bytes came.
func sum(s *arpc.Stream) {
	n := 0
	for m, err := range s.Messages() {
		if err != nil {
			_ = s.Fail(err)
			return
		}
		n += len(m.Data)
	}
	_ = s.SendAndClose(n)
}

func TestALastMessageEndsADirection(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.HandleStream("/sum", sum)
	}, func(t *testing.T, near *arpc.Client) {
		s := near.NewStream("/sum")
		body := bytes.Repeat([]byte("x"), 100_000)
		for range 10 {
			if err := s.Send(body); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SendAndClose("tail"); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := s.Recv(&n); err != nil || n != 1_000_004 {
			t.Errorf("%d, %v", n, err)
		}
		if err := s.Recv(&n); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

func TestASenderWaitsForItsReceiverAndNobodyElseDoes(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.Handle("/echo", echo)
		far.HandleStream("/lazy", func(s *arpc.Stream) {
			var go1 string
			_ = s.Client().Call("/when", nil, &go1, arpctest.Wait) // reads nothing before it is told to
			sum(s)
		})
	}, func(t *testing.T, near *arpc.Client) {
		if !isExtended(t) {
			return
		}
		release := make(chan struct{})
		near.Handler.Handle("/when", func(ctx *arpc.Context) { <-release; _ = ctx.Write("now") })
		s := near.NewStream("/lazy")
		const n, size = 100, 32 << 10
		sent := make(chan int, n)
		go func() {
			defer close(sent)
			for i := range n {
				if err := s.Send(bytes.Repeat([]byte("x"), size)); err != nil {
					t.Error(err)
					return
				}
				sent <- i
			}
			if err := s.CloseSend(); err != nil {
				t.Error(err)
			}
		}()
		for range 8 { // 256 KiB
			arpctest.Receive(t, sent, "message within the window")
		}
		for range 100 { // others are served meanwhile
			if err := near.Call("/echo", "x", nil, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
		}
		if extra := len(sent); extra > 0 {
			t.Errorf("%d messages went over the window", extra)
		}
		close(release)
		var total int
		if err := s.Recv(&total); err != nil || total != n*size {
			t.Errorf("%d, %v", total, err)
		}
	})
}

func TestStreamsEndWithErrors(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.SetLogger(discard)
		far.HandleStream("/fail", func(s *arpc.Stream) {
			_ = s.Send("one")
			_ = s.Fail(arpc.Errorf(arpc.CodeOutOfRange, "that is all"))
		})
		far.HandleStream("/panic", func(*arpc.Stream) { panic("secret") })
	}, func(t *testing.T, near *arpc.Client) {
		for method, code := range map[string]arpc.Code{
			"/fail": arpc.CodeOutOfRange, "/panic": arpc.CodeInternal, "/missing": arpc.CodeNotFound,
		} {
			s := near.NewStream(method)
			if err := s.Send("hello"); err != nil {
				t.Fatal(err)
			}
			var err error
			for err == nil {
				err = s.Recv(nil)
			}
			if isExtended(t) && arpc.CodeOf(err) != code || !isExtended(t) && !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", method, err)
			}
			s.Close()
			<-s.Context().Done()
		}
	})
}

func TestLeavingAnIteratorClosesTheStream(t *testing.T) {
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.HandleStream("/forever", func(s *arpc.Stream) {
			client := s.Client()
			for {
				if err := s.Send("tick"); err != nil {
					_ = client.Notify("/stopped", nil, arpctest.Wait)
					return
				}
			}
		})
		far.Handle("/echo", echo)
	}, func(t *testing.T, near *arpc.Client) {
		if !isExtended(t) {
			return // a base peer cannot be told to stop
		}
		stopped := make(chan struct{}, 1)
		near.Handler.Handle("/stopped", func(*arpc.Context) { stopped <- struct{}{} })
		s := near.NewStream("/forever")
		if err := s.Send("go"); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, err := range s.Messages() {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 3 {
				break
			}
		}
		arpctest.Receive(t, stopped, "end of the sender")
		if err := near.Call("/echo", "x", nil, arpctest.Wait); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamsEndWithTheConnection(t *testing.T) {
	for _, tr := range arpctest.Transports {
		far := arpc.NewHandler()
		ended := make(chan error, 1)
		far.HandleStream("/s", func(s *arpc.Stream) {
			_ = s.Send("started")
			ended <- s.Recv(nil)
			<-s.Context().Done()
		})
		near, accepted := tr.Connect(t, arpc.NewHandler(), far, arpc.WithBackoff(soon))
		s := near.NewStream("/s")
		if err := s.SendWith(t.Context(), arpc.Raw{Kind: wire.Text, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if err := s.Recv(nil); err != nil {
			t.Fatal(err)
		}
		if err := arpctest.Receive(t, ended, "first message"); err != nil {
			t.Fatal(err)
		}
		accepted.Stop()
		if err := s.Recv(nil); arpc.CodeOf(err) != arpc.CodeUnavailable {
			t.Errorf("%s: %v", tr.Name, err)
		}
		<-s.Context().Done()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := near.NewStream("/s").RecvWith(ctx, nil); arpc.CodeOf(err) != arpc.CodeCanceled {
			t.Errorf("%s: a context that ended: %v", tr.Name, err)
		}
	}
}

func TestWhatWasSaidBeforeTheEndIsHeard(t *testing.T) {
	const n = 50
	arpctest.EachWay(t, func(far *arpc.Handler) {
		far.HandleStream("/burst", func(s *arpc.Stream) {
			for i := range n {
				_ = s.Send(i)
			}
		})
	}, func(t *testing.T, near *arpc.Client) {
		s := near.NewStream("/burst")
		if err := s.Send("go"); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			var got int
			if err := s.Recv(&got); err != nil || got != i {
				t.Fatalf("%d, %v; want %d", got, err, i)
			}
		}
		if err := s.Recv(nil); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		s.Close()
	})
}

func TestTooManyStreamsAreRefused(t *testing.T) {
	const limit = 4
	far := arpc.NewHandler()
	far.SetLimits(arpc.Limits{Streams: limit})
	far.HandleStream("/s", echoStream)
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), far)
	var open []*arpc.Stream
	for range limit {
		s := near.NewStream("/s")
		if err := s.Send("x"); err != nil {
			t.Fatal(err)
		}
		if err := s.Recv(nil); err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	refused := near.NewStream("/s")
	if err := refused.Send("x"); err != nil {
		t.Fatal(err)
	}
	if err := refused.Recv(nil); arpc.CodeOf(err) != arpc.CodeResourceExhausted {
		t.Errorf("one too many: %v", err)
	}
	for _, s := range open {
		s.Close()
	}
	arpctest.Eventually(t, "room", func() bool {
		s := near.NewStream("/s")
		defer s.Close()
		return s.Send("x") == nil && s.Recv(nil) == nil
	})
}

func TestABaseStreamNobodyReadsIsDropped(t *testing.T) {
	h := arpc.NewHandler()
	h.SetLogger(discard)
	failed := make(chan error, 1)
	release := make(chan struct{})
	h.HandleStream("/s", func(s *arpc.Stream) {
		<-release
		var err error
		for err == nil {
			err = s.Recv(nil)
		}
		failed <- err
	})
	h.Handle("/echo", echo)
	p, _ := serveRaw(t, h)
	for range 70 {
		p.send(wire.Header{Cmd: wire.Stream | wire.Opener, Seq: 1}, "/s", strings.Repeat("x", 16<<10))
	}
	if f, _ := p.next(); f.Cmd != wire.Stream|wire.Last || len(f.Body) != 0 || f.Flags != 0 {
		t.Errorf("the drop is told by %+v %q", f.Header, f.Body)
	}
	p.send(wire.Header{Cmd: wire.Request, Seq: 5}, "/echo", "alive")
	if f, _ := p.next(); f.Seq != 5 || string(f.Body) != "alive" {
		t.Errorf("after it: %+v", f.Header)
	}
	close(release)
	if err := arpctest.Receive(t, failed, "end"); arpc.CodeOf(err) != arpc.CodeResourceExhausted {
		t.Error(err)
	}
}

func TestStreamIDs(t *testing.T) {
	h := arpc.NewHandler()
	opened := make(chan *arpc.Stream, 10)
	h.HandleStream("/s", func(s *arpc.Stream) { opened <- s; _ = s.Recv(nil) })
	h.Handle("/echo", echo)
	p, c := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Stream | wire.Opener | wire.Last, Seq: 1}, "/s", "all of it")
	arpctest.Receive(t, opened, "stream")
	if f, _ := p.next(); f.Cmd != wire.Stream|wire.Last || f.Seq != 1 {
		t.Errorf("end: %+v", f.Header)
	}
	p.send(wire.Header{Cmd: wire.Stream | wire.Opener, Seq: 1}, "/s", "late")
	p.send(wire.Header{Cmd: wire.Stream, Seq: 77}, "/s", "to a stream of ours that never was")
	p.send(wire.Header{Cmd: wire.Request, Seq: 2}, "/echo", "x")
	if f, _ := p.next(); f.Seq != 2 || len(opened) != 0 {
		t.Errorf("a late frame opened a stream: %+v", f.Header)
	}
	p.send(wire.Header{Cmd: wire.Stream | wire.Opener, Seq: 0}, "/s", "x")
	arpctest.Closed(t, c.Done(), "connection with a stream of id 0")
}

// TestRecordedStream replays what the original sent on a stream, against the
// same handler as the original's server had.
func TestRecordedStream(t *testing.T) {
	h := arpc.NewHandler()
	h.HandleStream("/stream", echoStream)
	p, _ := serveRaw(t, h)
	text, err := os.ReadFile("wire/testdata/vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if fields[0] != "stream open+send+close" {
			continue
		}
		steps++
		raw, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		if fields[1] == "c->s" {
			if _, err := p.conn.Write(raw); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if f, ok := p.next(); !ok || !bytes.Equal(f.Raw, raw) {
			t.Errorf("answered %x, recorded %x", f.Raw, raw)
		}
	}
	if steps != 4 {
		t.Errorf("replayed %d steps", steps)
	}
}

func TestCreditHoldsForStreamsThatAreOpenBeforeHello(t *testing.T) {
	for range 100 {
		far := arpc.NewHandler()
		got := make(chan string, 1)
		far.HandleConnected(func(c *arpc.Client) { // hello may not have been answered yet
			s := c.NewStream("/s")
			_ = s.SendAndClose("early")
		})
		near := arpc.NewHandler()
		near.HandleStream("/s", func(s *arpc.Stream) {
			var text string
			_ = s.Recv(&text)
			got <- text
		})
		arpctest.Transports[1].Connect(t, near, far)
		if text := arpctest.Receive(t, got, "message"); text != "early" {
			t.Fatal(text)
		}
	}
}

func TestCreditBeginsWithTheAnswerToHello(t *testing.T) {
	// A server that opens a stream in the very write that answers hello.
	const window = `{"arpc":1,"caps":["credit","cancel"],"ping":25000,"window":262144,"limits":{}}`
	for range 50 {
		a, b := net.Pipe()
		p := newRawPeer(t, b)
		echoed := make(chan string, 1)
		go func() {
			hello, _ := p.next()
			out := wire.Append(nil, wire.Header{Cmd: wire.Response, Flags: wire.Outside, Seq: hello.Seq}, "arpc.hello", []byte(window))
			out = wire.Append(out, wire.Header{Cmd: wire.Stream | wire.Opener, Seq: 1}, "/echo", []byte("hi"))
			_, _ = b.Write(out)
			for f, ok := p.next(); ok; f, ok = p.next() {
				if f.Cmd == wire.Stream && len(f.Body) > 0 {
					echoed <- string(f.Body)
				}
			}
		}()
		h := arpc.NewHandler()
		h.HandleStream("/echo", echoStream)
		c, err := arpc.NewClient(func() (net.Conn, error) { return a, nil }, arpc.WithHandler(h))
		if err != nil {
			t.Fatal(err)
		}
		if text := arpctest.Receive(t, echoed, "echo"); text != "hi" {
			t.Fatal(text)
		}
		c.Stop()
		b.Close()
		arpctest.Closed(t, c.Done(), "client")
	}
}

func TestASenderOfARefusedStreamIsTold(t *testing.T) {
	near, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), arpc.NewHandler())
	s := near.NewStream("/missing")
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	ctx, cancel := context.WithTimeout(t.Context(), arpctest.Wait)
	defer cancel()
	var err error
	for err == nil {
		err = s.SendWith(ctx, chunk)
	}
	if arpc.CodeOf(err) != arpc.CodeNotFound {
		t.Error(err)
	}
	<-s.Context().Done()
}

func TestCanceledStreamsCountAsLongAsTheirHandlersRun(t *testing.T) {
	const limit = 8
	h := arpc.NewHandler()
	h.SetLimits(arpc.Limits{Streams: limit})
	running := make(chan struct{}, 1000)
	release := make(chan struct{})
	defer close(release)
	h.HandleStream("/s", func(*arpc.Stream) { running <- struct{}{}; <-release })
	p, _ := serveRaw(t, h)
	p.send(wire.Header{Cmd: wire.Request}, "arpc.hello", ourHello)
	p.next()
	for id := uint64(1); id <= 200; id++ {
		p.send(wire.Header{Cmd: wire.Stream | wire.Opener, Seq: id}, "/s", "x")
		p.send(wire.Header{Cmd: wire.Cancel | wire.Opener | wire.Last, Seq: id}, "", "")
	}
	p.send(wire.Header{Cmd: wire.Ping, Seq: 7}, "", "")
	refused := 0
	for f, ok := p.next(); ok && f.Cmd != wire.Pong; f, ok = p.next() {
		refused++
	}
	if n := len(running); n > limit || refused != 200-limit {
		t.Errorf("%d handlers run, limit %d; %d streams were refused", n, limit, refused)
	}
}
