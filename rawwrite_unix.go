//go:build unix

package arpc

import (
	"net"
	"syscall"
)

// rawWriter writes to a socket without ever waiting for room.
type rawWriter struct {
	socket syscall.RawConn // nil if the connection is not a plain socket
	call   func(fd uintptr) bool
	buf    []byte // argument and results of call
	n      int
	errno  syscall.Errno // 0 if there was none
}

func newRawWriter(conn net.Conn) rawWriter {
	var plain syscall.Conn
	switch conn := conn.(type) { // a type around one of these may well have a Write of its own
	case *net.TCPConn:
		plain = conn
	case *net.UnixConn:
		plain = conn
	default:
		return rawWriter{}
	}
	socket, err := plain.SyscallConn()
	if err != nil {
		return rawWriter{}
	}
	return rawWriter{socket: socket}
}

// write writes what the socket takes now, which may be nothing. It is called by
// one goroutine at a time.
func (w *rawWriter) write(b []byte) (int, error) {
	if w.socket == nil {
		return 0, nil
	}
	if w.call == nil {
		w.call = w.try // bound once, so that a write allocates nothing
	}
	w.buf, w.n, w.errno = b, 0, 0
	err := w.socket.Write(w.call)
	w.buf = nil
	if err == nil && w.errno != 0 {
		err = &net.OpError{Op: "write", Net: "socket", Err: w.errno}
	}
	return w.n, err
}

func (w *rawWriter) try(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.buf)
		errno, failed := err.(syscall.Errno)
		switch {
		case !failed:
			w.n = n
		case errno == syscall.EINTR:
			continue
		case errno != syscall.EAGAIN:
			w.errno = errno
		}
		return true // never wait: whoever may block takes over
	}
}
