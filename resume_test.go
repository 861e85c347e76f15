package arpc_test

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
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
	late        time.Duration // until a connection that the server has is the client's
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
	time.Sleep(l.late)
	return a, nil
}

// cut ends the connection there is, and lets no other one come.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	l.accepted.Close()
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

// Who is called before hello is answered may answer before it knows of the session:
// both ends count alike all the same.
func TestCalledBeforeHelloIsAnswered(t *testing.T) {
	for name, late := range map[string]time.Duration{"at once": 0, "behind hello that is late": time.Second} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				synctest.Test(t, func(t *testing.T) {
					answered := make(chan error, 16)
					l := newLine(t, func(l *line) {
						l.late = late
						l.dialing.Handle("/who", func(ctx *arpc.Context) { _ = ctx.Write("me") }, arpc.Inline)
						l.accepting.Handle("/echo", echo)
						l.accepting.HandleConnected(func(c *arpc.Client) { answered <- c.Call("/who", nil, nil, time.Minute) })
					})
					if err := <-answered; err != nil {
						t.Error(err)
					}
					if err := l.near.Call("/echo", "x", nil, time.Minute); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Second) // both confirm what they got
					if err := l.near.Call("/echo", "x", nil, time.Minute); err != nil || l.connections != 1 {
						t.Errorf("%d connections, %v: %v", l.connections, err, l.near.Err())
					}
				})
			}
		})
	}
}

// What the hooks of a dialed client tell comes in order, however soon its connection
// is lost.
func TestLostWhileItOpens(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var told []string
			tell := func(what string) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, what)
			}
			dialing, accepting := arpc.NewHandler(), arpc.NewHandler()
			dialing.HandleConnected(func(*arpc.Client) { tell("connected") })
			dialing.HandlePaused(func(*arpc.Client, error) { tell("paused") })
			dialing.HandleDisconnected(func(*arpc.Client, error) { tell("disconnected") })
			accepting.HandleConnected(func(c *arpc.Client) { c.Stop() })
			dialed := false
			near, err := arpc.NewClient(func() (net.Conn, error) {
				if dialed {
					return nil, errDown
				}
				dialed = true
				a, b := net.Pipe()
				accepting.ServeConn(b, arpc.Accepted{})
				return a, nil
			}, arpc.WithHandler(dialing))
			if err != nil {
				return // lost before it opened
			}
			synctest.Wait()
			near.Stop()
			<-near.Done()
			if got := strings.Join(told, ", "); got != "connected, paused, disconnected" {
				t.Errorf("told %s", got)
			}
		})
	}
}

// Done is behind the disconnected hooks, also for a client that is stopped between
// two connections.
func TestStoppedBetweenConnections(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			var ended atomic.Int64
			l := newLine(t, func(l *line) {
				l.dialing.HandleDisconnected(func(*arpc.Client, error) { ended.Add(1) })
			})
			l.cut()
			synctest.Wait()
			l.near.Stop()
			<-l.near.Done()
			if n := ended.Load(); n != 1 {
				t.Errorf("%d sessions ended before Done", n)
			}
		})
	}
}
