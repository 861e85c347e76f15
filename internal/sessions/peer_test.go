package sessions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// isCounted says whether sessions count a frame.
func isCounted(f rawframe.Frame) bool {
	return f.Flags&rawframe.FlagOutside == 0 && f.Cmd != rawframe.CmdPing && f.Cmd != rawframe.CmdPong && f.Cmd != rawframe.CmdConfirm
}

// peer is one connection.
type peer struct {
	net.Conn
	t        testing.TB
	sent     uint64 // frames that are counted
	received uint64
}

// connect opens a connection, from a loopback address if one is given.
func connect(t testing.TB, address, from string) *peer {
	t.Helper()
	d := net.Dialer{Timeout: arpctest.Wait}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(t, c)
}

// wrap makes a peer of a connection, which ends with the test.
func wrap(t testing.TB, c net.Conn) *peer {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(3 * arpctest.Wait)); err != nil {
		t.Fatal(err)
	}
	return &peer{Conn: c, t: t}
}

func (p *peer) write(frames ...rawframe.Frame) {
	p.t.Helper()
	if err := p.tryWrite(frames...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) tryWrite(frames ...rawframe.Frame) error {
	for _, f := range frames {
		if isCounted(f) {
			p.sent++
		}
	}
	_, err := p.Write(rawframe.Append(nil, frames...))
	return err
}

// tryRead returns the next frame that is neither a ping nor a confirm.
func (p *peer) tryRead() (rawframe.Frame, error) {
	for {
		f, err := rawframe.Read(p)
		switch {
		case err != nil:
			return rawframe.Frame{}, err
		case isCounted(f):
			p.received++
		case f.Cmd == rawframe.CmdPing:
			if err := p.tryWrite(rawframe.Frame{Cmd: rawframe.CmdPong, Seq: f.Seq}); err != nil {
				return rawframe.Frame{}, err
			}
			continue
		case f.Cmd == rawframe.CmdConfirm:
			continue
		}
		return f, nil
	}
}

func (p *peer) read() rawframe.Frame {
	p.t.Helper()
	f, err := p.tryRead()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return f
}

// confirm says how many frames were received.
func (p *peer) confirm(n uint64) {
	p.t.Helper()
	p.write(rawframe.Frame{Cmd: rawframe.CmdConfirm, Seq: n})
}

// end reads until the connection ends, and returns how.
func (p *peer) end() error {
	p.t.Helper()
	for {
		if _, err := p.tryRead(); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				p.t.Fatal("the connection did not end")
			}
			return err
		}
	}
}

// asked is the session that a hello asks for.
type asked struct {
	Ticket   string `json:"ticket"`
	Received uint64 `json:"received"`
}

// greeting is what a hello says.
type greeting struct {
	Arpc    int      `json:"arpc"`
	Caps    []string `json:"caps"`
	Coders  []string `json:"coders"`
	Codec   string   `json:"codec"`
	Token   string   `json:"token,omitempty"`
	Window  int      `json:"window"`
	Session *asked   `json:"session,omitempty"`
}

// welcome is the answer to a hello, or its refusal.
type welcome struct {
	Caps     []string
	Ticket   string
	Grace    int64
	Resumed  *bool
	Received *uint64
	Reason   string
	Code     string
	Message  string
}

// resumed says whether the session goes on.
func (w welcome) resumed() bool { return w.Resumed != nil && *w.Resumed }

// notResumed says whether it does not, for a reason, and there is another session.
func (w welcome) notResumed(reason string) bool {
	return w.Resumed != nil && !*w.Resumed && w.Reason == reason && w.Ticket != "" && w.Code == ""
}

func (w welcome) String() string {
	switch {
	case w.Code != "":
		return w.Code + ": " + w.Message
	case w.Resumed == nil:
		return "a session"
	case *w.Resumed:
		return "resumed"
	}
	return "not resumed: " + w.Reason
}

// caps are those of a client that knows everything of the engine.
var caps = []string{"batch", "cancel", "errors", "kind", "credit", "goaway", "resume"}

// hello says hello as somebody, and asks for a session if there is one.
func (p *peer) hello(token string, session *asked) welcome {
	p.t.Helper()
	return p.greet(greeting{Caps: caps, Token: token, Session: session})
}

func (p *peer) greet(g greeting) welcome {
	p.t.Helper()
	w, err := p.tryGreet(g)
	if err != nil {
		p.t.Fatalf("hello: %v", err)
	}
	return w
}

func (p *peer) tryGreet(g greeting) (w welcome, err error) {
	g.Arpc, g.Coders, g.Window = 1, []string{}, 1<<18
	if g.Codec == "" {
		g.Codec = "json"
	}
	body, err := json.Marshal(g)
	if err != nil {
		return w, err
	}
	if err := p.tryWrite(rawframe.Request(rawframe.FlagOutside, 1, "arpc.hello", string(body))); err != nil {
		return w, err
	}
	f, err := p.tryRead()
	if err != nil {
		return w, err
	}
	if f.Cmd != rawframe.CmdResponse || f.Seq != 1 || f.Method != "arpc.hello" || f.Flags&rawframe.FlagOutside == 0 {
		return w, fmt.Errorf("answered with %+v", f)
	}
	return w, json.Unmarshal([]byte(f.Body), &w)
}

// request is a request by its id.
func request(seq uint64, method, id string) rawframe.Frame {
	return rawframe.Request(rawframe.KindText, seq, method, id)
}

// call sends a request and returns the body of its answer.
func (p *peer) call(seq uint64, method, id string) string {
	p.t.Helper()
	p.write(request(seq, method, id))
	f := p.read()
	if f.Cmd != rawframe.CmdResponse || f.Seq != seq || f.Flags&rawframe.FlagError != 0 {
		p.t.Fatalf("%s %s was answered with %+v", method, id, f)
	}
	return f.Body
}
