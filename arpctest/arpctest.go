// Package arpctest is for tests of programs that use arpc: two peers in one
// process, connected in memory, and a connection between them that can be slowed,
// cut, sliced, falsified and silenced.
//
//	dialed, accepted := arpctest.Pair(t, clientRoutes, serverRoutes)
//
//	link := arpctest.NewLink(t, serverRoutes)
//	client := link.Dial(t, arpc.NewHandler())
//	link.Conn().In.BlackHole() // from now on nothing reaches the client
//
// There is no clock here: in memory, arpc runs on the fake clock of
// testing/synctest, where a timeout of a minute takes no time. Make the peers
// inside of synctest.Test.
package arpctest

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
)

// Pair connects two peers in memory, and returns the one that dialed, which
// connects again when the connection is lost, and the one that accepted. Both end
// with the test.
func Pair(t testing.TB, dialing, accepting *arpc.Handler, opts ...arpc.ClientOption) (dialed, accepted *arpc.Client) {
	t.Helper()
	link := NewLink(t, accepting)
	return link.Dial(t, dialing, opts...), link.Accepted()
}

// Link is the way to a server in memory. Its methods are safe for concurrent use.
type Link struct {
	accepting *arpc.Handler

	mu       sync.Mutex // guards what follows
	down     bool
	conns    []*Conn
	accepted []*arpc.Client
}

// errDown is what dialing fails with while a Link is down.
var errDown = errors.New("arpctest: the link is down")

// NewLink returns the way to a server that has the routes of a handler. What was
// connected over it ends with the test.
func NewLink(t testing.TB, accepting *arpc.Handler) *Link {
	l := &Link{accepting: accepting}
	t.Cleanup(func() {
		l.Down()
		for _, c := range l.clients() {
			<-c.Done()
		}
	})
	return l
}

// Open makes a connection. It is what arpc.NewClient takes, for clients that Dial
// is not enough for.
func (l *Link) Open() (net.Conn, error) {
	near, far := net.Pipe()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errDown
	}
	c := Wrap(near)
	l.conns = append(l.conns, c)
	l.accepted = append(l.accepted, l.accepting.ServeConn(far, arpc.Accepted{}))
	return c, nil
}

// Dial connects a client, which ends with the test. It fails the test if that
// cannot be done.
func (l *Link) Dial(t testing.TB, h *arpc.Handler, opts ...arpc.ClientOption) *arpc.Client {
	t.Helper()
	c, err := arpc.NewClient(l.Open, append(opts, arpc.WithHandler(h))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); <-c.Done() })
	return c
}

// Conn is the dialing end of the newest connection, nil if there was none.
func (l *Link) Conn() *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) == 0 {
		return nil
	}
	return l.conns[len(l.conns)-1]
}

// Accepted is the server's client of the newest connection, or the one whose session that took up; nil if there was none.
func (l *Link) Accepted() *arpc.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range slices.Backward(l.accepted) {
		if c.State() != arpc.StateClosed { // not that of a connection that took a session up
			return c
		}
	}
	if len(l.accepted) == 0 {
		return nil
	}
	return l.accepted[len(l.accepted)-1]
}

// Down cuts all connections, and dialing fails until Up.
func (l *Link) Down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		c.Close()
	}
}

// Up lets clients connect again.
func (l *Link) Up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

func (l *Link) clients() []*arpc.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}
