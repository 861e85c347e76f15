//go:build !unix

package quiet

import (
	"errors"
	"net"
)

// ErrSilent is returned by Await after a while without a byte.
var ErrSilent = errors.New("nothing to read for a while")

// Room is memory to read into.
type Room interface {
	// Buffer returns room, never empty.
	Buffer() []byte
	// Release gives the room up if nothing is in it.
	Release()
}

// Reader reads one socket. There is none where sockets have no descriptor.
type Reader struct{}

// NewReader returns nil: connections are read as any other net.Conn.
func NewReader(net.Conn, Room) *Reader { return nil }

// Read is not called.
func (r *Reader) Read() (int, error) { return 0, errors.ErrUnsupported }

// Await is not called.
func (r *Reader) Await() (int, error) { return 0, errors.ErrUnsupported }
