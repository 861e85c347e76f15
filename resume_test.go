package arpc_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// line is a dialed client and its server on pipes that can be cut, in a bubble of
// synctest.
type line struct {
	near, far   *arpc.Client
	dialing     *arpc.Handler
	accepting   *arpc.Handler
	began       chan *arpc.Client // sessions at the server
	mu          sync.Mutex
	down        bool
	accepted    net.Conn
	connections int
}

var errDown = errors.New("the line is down")

// newLine connects what setup prepared. It ends with the test.
func newLine(t *testing.T, setup func(*line)) *line {
	l := &line{dialing: arpc.NewHandler(), accepting: arpc.NewHandler(), began: make(chan *arpc.Client, 16)}
	l.dialing.SetLogger(discard)
	l.accepting.SetLogger(discard)
	setup(l)
	near, err := arpc.NewClient(l.dial, arpc.WithHandler(l.dialing), arpc.WithBackoff(arpc.Backoff{First: time.Millisecond, Max: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	l.near, l.far = near, <-l.began
	t.Cleanup(func() {
		near.Stop()
		<-near.Done()
		l.far.Stop()
		<-l.far.Done()
		synctest.Wait()
	})
	return l
}

func (l *line) dial() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errDown
	}
	l.connections++
	a, b := net.Pipe()
	l.accepted = b
	l.accepting.ServeConn(b, arpc.Accepted{Connected: func(c *arpc.Client) { l.began <- c }})
	return a, nil
}

// cut ends the connection there is, and lets no other one come until up.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	l.accepted.Close()
}

func (l *line) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// A call of a session expires at its time, also while there is no connection.
func TestCallsExpireBetweenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, func(l *line) {
			l.accepting.Handle("/never", func(ctx *arpc.Context) { <-ctx.Done() })
		})
		failed := make(chan error, 1)
		began := time.Now()
		go func() { failed <- l.near.Call("/never", nil, nil, 10*time.Second) }()
		synctest.Wait()
		l.cut()
		err := <-failed
		if took := time.Since(began); !errors.Is(err, arpc.ErrTimeout) || took > 10*time.Second+time.Millisecond {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
