//go:build unix

// Package quiet reads plain sockets so that those which are silent cost
// little: no memory is held for the next read while it waits, and a goroutine
// that waits long is told so, to go on with a stack as small as a new one.
package quiet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrSilent is returned by Await after a while without a byte.
var ErrSilent = errors.New("nothing to read for a while")

// restAfter is how long a while is, at least; at most it is twice as long.
const restAfter = time.Second

// Room is memory to read into.
type Room interface {
	// Buffer returns room, never empty.
	Buffer() []byte
	// Release gives the room up if nothing is in it.
	Release()
}

// Reader reads one socket, for one goroutine at a time.
type Reader struct {
	conn net.Conn
	raw  syscall.RawConn
	room Room
	call func(fd uintptr) bool // try, bound once
	n    int                   // result of call
	err  error
	// A read deadline is set for silence, whether there were bytes since, and whether
	// there were any that Await has not told the silence after.
	armed, heard, stirred bool
}

// NewReader returns a reader of conn, or nil if that is not a plain socket.
func NewReader(conn net.Conn, room Room) *Reader {
	var plain syscall.Conn
	switch conn := conn.(type) { // a type around one of these may well have a Read of its own
	case *net.TCPConn:
		plain = conn
	case *net.UnixConn:
		plain = conn
	default:
		return nil
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return nil
	}
	r := &Reader{conn: conn, raw: raw, room: room}
	r.call = r.try
	return r
}

// Read reads what there is, and waits for it. Deadlines of the socket hold.
func (r *Reader) Read() (int, error) {
	if r.armed {
		r.armed = false
		if err := r.conn.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	return r.read()
}

// Await is Read for a goroutine that can be replaced by a fresh one: after a
// while without a byte it fails with ErrSilent. The read deadline is its own.
func (r *Reader) Await() (int, error) {
	for {
		if r.stirred && !r.armed {
			if err := r.arm(true); err != nil {
				return 0, err
			}
		}
		n, err := r.read()
		if !r.armed || !errors.Is(err, os.ErrDeadlineExceeded) {
			r.heard = true
			return n, err
		}
		r.stirred = r.heard
		if err := r.arm(r.heard); err != nil {
			return 0, err
		}
		if !r.stirred {
			return 0, ErrSilent
		}
	}
}

// arm begins a while, or none.
func (r *Reader) arm(on bool) error {
	r.armed, r.heard = on, false
	if !on {
		return r.conn.SetReadDeadline(time.Time{})
	}
	return r.conn.SetReadDeadline(time.Now().Add(restAfter))
}

func (r *Reader) read() (int, error) {
	r.n, r.err = 0, nil
	if err := r.raw.Read(r.call); err != nil {
		return 0, err
	}
	return r.n, r.err
}

// try reads what the socket has now; false waits until it has something.
func (r *Reader) try(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), r.room.Buffer())
		switch {
		case err == nil && n > 0:
			r.n, r.stirred = n, true
		case err == nil:
			r.err = io.EOF
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			r.room.Release()
			return false
		default:
			r.err = &net.OpError{Op: "read", Net: r.conn.LocalAddr().Network(), Err: os.NewSyscallError("read", err)}
		}
		return true
	}
}
