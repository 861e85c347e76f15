package arpctest

import (
	"net"
	"sync"
	"syscall"
)

// Conn is a connection that can be hurt, in each direction on its own. Wrap any
// net.Conn, and give it to arpc.NewClient or arpc.Handler.ServeConn. Faults may be
// set at any time, from any goroutine.
type Conn struct {
	net.Conn
	// Out is the way of what is written, In that of what is read.
	Out, In Path

	closing sync.Once
	closed  chan struct{}
	reset   chan struct{} // closed by Reset
	resets  sync.Once
}

// Wrap returns c as a connection that can be hurt, and is not yet.
func Wrap(c net.Conn) *Conn {
	return &Conn{Conn: c, closed: make(chan struct{}), reset: make(chan struct{})}
}

// Close closes the connection.
func (c *Conn) Close() error {
	c.closing.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Reset ends the connection as a network does that lost it: reads and writes of
// this end fail with ECONNRESET. The other end of a TCP connection sees the same,
// that of one in memory an end.
func (c *Conn) Reset() {
	c.resets.Do(func() { close(c.reset) })
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
	c.Close()
}

// Write writes p, as far as the faults let it.
func (c *Conn) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		piece, cut := c.Out.take(p, c.closed)
		if err := c.pass(piece); err != nil {
			return total - len(p), c.failure(err)
		}
		p = p[piece.taken:]
		if cut {
			c.Close()
			return total - len(p), c.failure(net.ErrClosed)
		}
	}
	return total, nil
}

func (c *Conn) pass(piece piece) error {
	if len(piece.bytes) == 0 {
		return nil
	}
	_, err := c.Conn.Write(piece.bytes)
	return err
}

// Read reads into p, what the faults leave of it.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p[:c.In.most(len(p))])
		if n == 0 {
			return 0, c.failure(err)
		}
		got, taken := 0, 0
		for taken < n {
			piece, cut := c.In.take(p[taken:n], c.closed)
			got += copy(p[got:], piece.bytes)
			taken += piece.taken
			if cut {
				c.Close()
				return got, nil
			}
		}
		if got > 0 || err != nil {
			return got, c.failure(err)
		}
	}
}

// failure is err, or that of a reset.
func (c *Conn) failure(err error) error {
	select {
	case <-c.reset:
		return &net.OpError{Op: "reset", Net: "arpctest", Err: syscall.ECONNRESET}
	default:
		return err
	}
}
