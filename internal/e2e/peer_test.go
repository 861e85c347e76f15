package e2e_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// The frame, once more from its table: 16 bytes little-endian, then method and
// body. Nothing of the project is used to write or read it.
const (
	cmdRequest  = 1
	cmdResponse = 2
	cmdNotify   = 3
	cmdPing     = 4
	cmdPong     = 5

	flagError = 1 << 0
	flagAsync = 1 << 1

	headerLen = 16
)

type frame struct {
	cmd, flags byte
	seq        uint64
	method     string
	body       []byte
}

func (f frame) bytes() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(f.method)+len(f.body)))
	b = append(b, 0, f.cmd, f.flags, byte(len(f.method)))
	b = binary.LittleEndian.AppendUint64(b, f.seq)
	b = append(b, f.method...)
	return append(b, f.body...)
}

func (f frame) equal(other frame) bool {
	return f.cmd == other.cmd && f.flags == other.flags && f.seq == other.seq && f.method == other.method && bytes.Equal(f.body, other.body)
}

func (f frame) String() string {
	return fmt.Sprintf("cmd %d flags %#02x seq %d %q %d bytes %.40q", f.cmd, f.flags, f.seq, f.method, len(f.body), f.body)
}

// readFrame reads one frame of a byte stream.
func readFrame(from io.Reader) (frame, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(from, h[:]); err != nil {
		return frame{}, err
	}
	size, methodLen := binary.LittleEndian.Uint32(h[:]), uint32(h[7])
	if size > 64<<20 || methodLen > size || h[4] != 0 {
		return frame{}, fmt.Errorf("bad header %x", h)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(from, rest); err != nil {
		return frame{}, err
	}
	return frame{h[5], h[6], binary.LittleEndian.Uint64(h[8:]), string(rest[:methodLen]), rest[methodLen:]}, nil
}

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

func (p *peer) write(frames ...frame) {
	p.t.Helper()
	var all []byte
	for _, f := range frames {
		all = append(all, f.bytes()...)
	}
	if _, err := p.Write(all); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next frame that is not a ping.
func (p *peer) read() frame {
	p.t.Helper()
	for {
		f, err := readFrame(p)
		if err != nil {
			p.t.Fatalf("read: %v", err)
		}
		if f.cmd != cmdPing {
			return f
		}
		p.write(frame{cmd: cmdPong, seq: f.seq})
	}
}

func (p *peer) expect(what string, want frame) {
	p.t.Helper()
	if got := p.read(); !got.equal(want) {
		p.t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// call sends a request and returns its answer.
func (p *peer) call(seq uint64, method, body string) frame {
	p.t.Helper()
	p.write(frame{cmd: cmdRequest, seq: seq, method: method, body: []byte(body)})
	answer := p.read()
	if answer.cmd != cmdResponse || answer.seq != seq || answer.method != method {
		p.t.Fatalf("%s %d was answered with %v", method, seq, answer)
	}
	return answer
}

// end reads until the connection ends.
func (p *peer) end() error {
	for {
		if _, err := readFrame(p); err != nil {
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				p.t.Fatal("the connection did not end")
			}
			return err
		}
	}
}
