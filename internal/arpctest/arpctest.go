// Package arpctest connects two peers in one process for tests: over a pipe in
// memory, over TCP, over WebSocket. Peers are symmetric, so a test that runs
// EachWay runs from both ends and over each transport. Beside it is what tests of
// other packages share: sockets, waiting, a log, how much of a long test to run.
package arpctest

import (
	"context"
	"net"
	"net/http/httptest"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// Transport makes the two ends of a connection: what a client dials, and what
// comes out on the accepting side.
type Transport struct {
	Name string
	Open func(t testing.TB, serve func(net.Conn, arpc.Accepted)) func() (net.Conn, error)
}

// Transports are those that every test of the engine runs over.
var Transports = []Transport{{"pipe", openPipe}, {"tcp", openTCP}, {"websocket", openWebSocket}}

func openPipe(t testing.TB, serve func(net.Conn, arpc.Accepted)) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		a, b := net.Pipe()
		serve(b, arpc.Accepted{})
		return a, nil
	}
}

func openTCP(t testing.TB, serve func(net.Conn, arpc.Accepted)) func() (net.Conn, error) {
	ln := Listen(t)
	Accept(t, ln, func(conn net.Conn) { serve(conn, arpc.Accepted{}) })
	return func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
}

func openWebSocket(t testing.TB, serve func(net.Conn, arpc.Accepted)) func() (net.Conn, error) {
	limits := arpc.DefaultLimits().WebSocket()
	s := httptest.NewServer(upgrader{limits, serve})
	t.Cleanup(s.Close)
	return func() (net.Conn, error) {
		return ws.Dial(context.Background(), "ws"+s.URL[len("http"):], ws.DialOptions{Limits: limits})
	}
}

// Connect makes two peers out of two handlers. dialed reconnects; accepted is
// the client of its first connection. Both end with the test.
func (tr Transport) Connect(t testing.TB, dialing, accepting *arpc.Handler, opts ...arpc.ClientOption) (dialed, accepted *arpc.Client) {
	t.Helper()
	first := make(chan *arpc.Client, 1)
	dial := tr.Open(t, func(nc net.Conn, a arpc.Accepted) {
		a.Connected = func(c *arpc.Client) {
			t.Cleanup(func() { c.Stop(); Closed(t, c.Done(), "accepted client") })
			select {
			case first <- c:
			default:
			}
		}
		accepting.ServeConn(nc, a)
	})
	dialed, err := arpc.NewClient(dial, append(opts, arpc.WithHandler(dialing))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Stop(); Closed(t, dialed.Done(), "dialed client") })
	return dialed, Receive(t, first, "accepted client")
}

// EachWay runs a test over every transport, with and without hello, and from
// both ends of each: setup prepares the handler of the far peer, which test
// then finds at the other end of near.
func EachWay(t *testing.T, setup func(far *arpc.Handler), test func(t *testing.T, near *arpc.Client)) {
	for _, tr := range Transports {
		for name, hello := range map[string]arpc.HelloMode{"extended": arpc.HelloRequire, "base": arpc.HelloNever} {
			t.Run(tr.Name+"/"+name+"/dialed", func(t *testing.T) {
				far := arpc.NewHandler()
				endWithConnection(far, hello)
				setup(far)
				dialed, _ := tr.Connect(t, arpc.NewHandler(), far, arpc.WithHello(hello))
				test(t, dialed)
			})
			t.Run(tr.Name+"/"+name+"/accepted", func(t *testing.T) {
				far, near := arpc.NewHandler(), arpc.NewHandler()
				endWithConnection(near, hello)
				setup(far)
				_, accepted := tr.Connect(t, far, near, arpc.WithHello(hello))
				test(t, accepted)
			})
		}
	}
}

// endWithConnection spares those who say no hello the moment in which a server
// waits for one.
func endWithConnection(accepting *arpc.Handler, hello arpc.HelloMode) {
	if hello == arpc.HelloNever {
		accepting.SetLimits(arpc.Limits{Grace: -1})
	}
}
