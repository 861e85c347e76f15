package arpc_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// noPanics is a log in which a panic of the engine fails the test.
type noPanics struct {
	t  testing.TB
	mu sync.Mutex
}

func (n *noPanics) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if strings.Contains(string(p), "panicked") {
		n.t.Errorf("%s", p)
	}
	return len(p), nil
}

// FuzzConn sends any bytes to an accepted connection: nothing panics, whatever
// is answered is a valid frame, and the connection ends with its peer.
func FuzzConn(f *testing.F) {
	request := func(cmd wire.Cmd, flags wire.Flags, seq uint64, method, body string) []byte {
		return wire.Append(nil, wire.Header{Cmd: cmd, Flags: flags, Seq: seq}, method, []byte(body))
	}
	hello := request(wire.Request, wire.Outside, 1, "arpc.hello", ourHello)
	f.Add(request(wire.Request, 0, 1, "/echo", "hi"))
	f.Add(append(hello, request(wire.Cancel, 0, 1, "", "")...))
	f.Add(append(hello, request(wire.Stream|wire.Opener, 0, 1, "/echo", "chunk")...))
	f.Add(append(hello, request(wire.Credit|wire.Opener, 0, 1, "", "\x00\x00\x01\x00")...))
	f.Add(append(hello, request(wire.Cancel|wire.Last|wire.Opener, 0, 1, "", "")...))
	f.Add(request(wire.Request, 0, 1, "arpc.token", "x"))
	f.Add(request(wire.Notify, wire.Outside, 0, "arpc.goaway", `{"delay":1,"until":1}`))
	f.Add(request(wire.Response, wire.Error|wire.Structured, 7, "/echo", `{"code":1}`))
	f.Add(request(40, 0xff, 7, "", ""))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := arpc.NewHandler()
		h.SetLogger(slog.New(slog.NewTextHandler(&noPanics{t: t}, nil)))
		h.SetLimits(arpc.Limits{Body: 1 << 16, Streams: 4, Inflight: 4})
		h.Handle("/echo", echo)
		h.HandleStream("/echo", echoStream)
		near, far := net.Pipe()
		c := h.ServeConn(near, arpc.Accepted{})
		var reading sync.WaitGroup
		reading.Go(func() { checkFrames(t, far) })
		_ = far.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, _ = far.Write(data) // it fails when the connection was ended for a bad frame
		_ = far.Close()
		reading.Wait()
		<-c.Done()
	})
}

// checkFrames reads to the end and fails on anything that is not a frame.
func checkFrames(t *testing.T, r io.Reader) {
	d := wire.NewDecoder(wire.MaxBody)
	for {
		n, err := r.Read(d.Buffer())
		d.Advance(n)
		for {
			_, ok, bad := d.Next()
			if bad != nil {
				t.Errorf("the server sent %v", bad)
				return
			}
			if !ok {
				break
			}
		}
		if err != nil {
			return
		}
	}
}

// FuzzHello says any hello: it gets exactly one answer, which is a greeting or
// an error with a code.
func FuzzHello(f *testing.F) {
	f.Add(ourHello)
	f.Add(`{"arpc":1,"codec":"json"}`)
	f.Add(`{"arpc":1e99,"caps":null,"codec":{}}`)
	f.Add(`{"arpc":1,"codec":"json","window":-9223372036854775808}`)
	f.Add("[]")
	f.Add("")
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 1<<15 {
			return
		}
		h := arpc.NewHandler()
		h.SetLogger(slog.New(slog.NewTextHandler(&noPanics{t: t}, nil)))
		near, far := net.Pipe()
		c := h.ServeConn(near, arpc.Accepted{})
		p := &rawPeer{t, far, wire.NewDecoder(wire.MaxBody)}
		go func() {
			raw := wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 3}, "arpc.hello", []byte(body))
			_, _ = far.Write(wire.Append(raw, wire.Header{Cmd: wire.Ping, Seq: 4}, "", nil))
		}()
		answer, ok := p.next()
		if !ok || answer.Cmd != wire.Response || answer.Seq != 3 || !json.Valid(answer.Body) {
			t.Fatalf("answer %+v %q", answer.Header, answer.Body)
		}
		if failed := answer.Flags&wire.Error != 0; failed != (answer.Flags&wire.Structured != 0) {
			t.Errorf("flags %b", answer.Flags)
		}
		if pong, ok := p.next(); !ok || pong.Cmd != wire.Pong {
			t.Errorf("a second answer: %+v", pong.Header)
		}
		_ = far.Close()
		<-c.Done()
	})
}
