package audience

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// poller says which sockets have something to read. One read for each is all
// that a delivery costs then: the runtime's own poller takes a second, in vain,
// and a goroutine for each.
type poller struct {
	fd     int
	events [256]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a poller: %w", err)
	}
	return &poller{fd: fd}, nil
}

// add watches a socket; wait calls it by its name.
func (p *poller) add(fd, name int) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(name)}
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// wait calls f for each socket that can be read, and reports whether there was
// one in time.
func (p *poller) wait(most time.Duration, f func(name int) error) (some bool, err error) {
	n, err := syscall.EpollWait(p.fd, p.events[:], int(most.Milliseconds()))
	if errors.Is(err, syscall.EINTR) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("wait for sockets: %w", err)
	}
	for i := range n {
		if err := f(int(p.events[i].Fd)); err != nil {
			return true, err
		}
	}
	return n > 0, nil
}

func (p *poller) close() error { return syscall.Close(p.fd) }

// duplicate is the descriptor of a socket once more, which the runtime does not
// know.
func duplicate(conn *net.TCPConn) (fd int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failure error
	err = raw.Control(func(of uintptr) { fd, failure = syscall.Dup(int(of)) })
	return fd, errors.Join(err, failure)
}

func read(fd int, b []byte) (int, error) {
	n, err := syscall.Read(fd, b)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	if err == nil && n == 0 {
		return 0, errors.New("the server closed the connection")
	}
	return n, err
}

func write(fd int, b []byte) error {
	n, err := syscall.Write(fd, b)
	if err == nil && n < len(b) {
		return errors.New("the server does not read its answers")
	}
	return err
}

func closeSocket(fd int) error { return syscall.Close(fd) }
