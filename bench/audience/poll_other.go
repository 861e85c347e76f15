//go:build !linux

package audience

import (
	"errors"
	"net"
	"time"
)

// errSystem: usage of processes is read from /proc too, so nothing of the
// benchmark can be measured elsewhere.
var errSystem = errors.New("an audience needs Linux")

type poller struct{}

func newPoller() (*poller, error) { return nil, errSystem }

func (*poller) add(int, int) error { return errSystem }

func (*poller) wait(time.Duration, func(int) error) (bool, error) { return false, errSystem }

func (*poller) close() error { return nil }

func duplicate(*net.TCPConn) (int, error) { return 0, errSystem }

func read(int, []byte) (int, error) { return 0, errSystem }

func write(int, []byte) error { return errSystem }

func closeSocket(int) error { return nil }
