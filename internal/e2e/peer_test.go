package e2e_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// link is a door seen from outside: a stream of bytes in, and what is written
// at once leaves as one unit, on a WebSocket as one message.
type link interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
}

// peer is one connection. The demo's pings are answered wherever it reads.
type peer struct {
	link
	t testing.TB
}

var doors = []string{"tcp", "websocket"}

// connect opens a door of the demo.
func (d *demo) connect(t testing.TB, door string) *peer {
	t.Helper()
	l, err := d.open(door)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &peer{l, t}
}

func (d *demo) open(door string) (l link, err error) {
	if door == "tcp" {
		l, err = net.DialTimeout("tcp", d.tcp, patience)
	} else {
		l, err = dialWebSocket(d.http, "/ws", "")
	}
	if err != nil {
		return nil, err
	}
	return l, l.SetDeadline(time.Now().Add(patience))
}

func (p *peer) write(frames ...rawframe.Frame) {
	p.t.Helper()
	if _, err := p.Write(rawframe.Append(nil, frames...)); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next frame that is not a ping.
func (p *peer) read() rawframe.Frame {
	p.t.Helper()
	for {
		f, err := rawframe.Read(p)
		if err != nil {
			p.t.Fatalf("read: %v", err)
		}
		if f.Cmd != rawframe.CmdPing {
			return f
		}
		p.write(rawframe.Frame{Cmd: rawframe.CmdPong, Seq: f.Seq})
	}
}

func (p *peer) expect(what string, want rawframe.Frame) {
	p.t.Helper()
	if got := p.read(); got != want {
		p.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// call sends a request and returns its answer.
func (p *peer) call(seq uint64, method, body string) rawframe.Frame {
	p.t.Helper()
	p.write(rawframe.Request(0, seq, method, body))
	answer := p.read()
	if answer.Cmd != rawframe.CmdResponse || answer.Seq != seq || answer.Method != method {
		p.t.Fatalf("%s %d was answered with %v", method, seq, answer)
	}
	return answer
}

// end reads until the connection ends.
func (p *peer) end() error {
	for {
		if _, err := rawframe.Read(p); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				p.t.Fatal("the connection did not end")
			}
			return err
		}
	}
}
