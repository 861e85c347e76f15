package contender

import (
	"bufio"
	"io"
	"net"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// rawEcho is the limit of the transport: the same frames, in as few reads and
// writes as there can be, and nothing is done with them.
var rawEcho = Contender{
	Name: "raw", About: "the limit: the same frames over TCP, buffered both ways, no calls and no handler",
	Serve: func(ln net.Listener) error { return acceptEach(ln, echoFrames) },
	Open:  openRaw,
}

// rawBuffer holds the frames of any load here.
const rawBuffer = 64 << 10

func echoFrames(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, rawBuffer), bufio.NewWriterSize(conn, rawBuffer)
	for {
		frame, err := nextFrame(r)
		if err != nil {
			return
		}
		if _, err := w.Write(frame); err != nil {
			return
		}
		if r.Buffered() > 0 {
			continue
		}
		if err := w.Flush(); err != nil {
			return
		}
	}
}

// nextFrame is a whole frame, which holds until r is read again.
func nextFrame(r *bufio.Reader) ([]byte, error) {
	header, err := r.Peek(wire.HeaderLen)
	if err != nil {
		return nil, err
	}
	size := wire.HeaderLen + int(wire.ParseHeader(header).BodyLen)
	frame, err := r.Peek(size)
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(size)
	return frame, err
}

// requestFrame is the frame of a call.
func requestFrame(text string) []byte {
	return wire.Append(nil, wire.Header{Cmd: wire.Request}, method, []byte(text))
}

// rawPipe sends a frame again and again.
type rawPipe struct {
	net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	frame []byte
}

func openRaw(t Target) (drive.Pipe, error) {
	conn, err := t.dial()
	if err != nil {
		return nil, err
	}
	return &rawPipe{
		Conn:  conn,
		r:     bufio.NewReaderSize(conn, rawBuffer),
		w:     bufio.NewWriterSize(conn, rawBuffer),
		frame: requestFrame(t.Text),
	}, nil
}

func (p *rawPipe) Send() error {
	_, err := p.w.Write(p.frame)
	return err
}

func (p *rawPipe) Flush() error { return p.w.Flush() }

func (p *rawPipe) Buffered() bool { return p.r.Buffered() > 0 }

func (p *rawPipe) Receive() error {
	frame, err := nextFrame(p.r)
	if err != nil {
		return err
	}
	return sameLength(len(frame), len(p.frame))
}

// pingPong is the least that one call can take: a read and a write on each side.
var pingPong = Contender{
	Name: "ping-pong", About: "the limit for one call at a time: a bare write and read of the same frame",
	Serve: func(ln net.Listener) error { return acceptEach(ln, echoReads) },
	Dial:  dialPingPong,
}

func echoReads(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, rawBuffer)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pingPongCaller has one call in flight, no more.
type pingPongCaller struct {
	net.Conn
	frame, back []byte
}

func dialPingPong(t Target) (drive.Caller, error) {
	conn, err := t.dial()
	if err != nil {
		return nil, err
	}
	frame := requestFrame(t.Text)
	return &pingPongCaller{conn, frame, make([]byte, len(frame))}, nil
}

func (c *pingPongCaller) Call() error {
	if _, err := c.Write(c.frame); err != nil {
		return err
	}
	_, err := io.ReadFull(c.Conn, c.back)
	return err
}
