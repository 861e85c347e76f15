package ws_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gorilla/websocket"

	"github.com/seed-fbfaa03e/arpc/ws"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// peer is another implementation of RFC 6455 at the other end.
type peer interface {
	// read returns the next message, or a *closed when the other end closed.
	read() (binary bool, payload []byte, err error)
	write(payload []byte) error
	close(code int, reason string) error
}

// closed is a close frame as a peer understood it.
type closed struct {
	code   int
	reason string
}

func (c *closed) Error() string { return "closed: " + c.reason }

type gorillaPeer struct{ conn *websocket.Conn }

func (p gorillaPeer) read() (bool, []byte, error) {
	kind, payload, err := p.conn.ReadMessage()
	var end *websocket.CloseError
	if errors.As(err, &end) {
		err = &closed{end.Code, end.Text}
	}
	return kind == websocket.BinaryMessage, payload, err
}

func (p gorillaPeer) write(b []byte) error { return p.conn.WriteMessage(websocket.BinaryMessage, b) }

func (p gorillaPeer) close(code int, reason string) error {
	return p.conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
}

type coderPeer struct {
	ctx  context.Context
	conn *coder.Conn
}

func (p coderPeer) read() (bool, []byte, error) {
	kind, payload, err := p.conn.Read(p.ctx)
	var end coder.CloseError
	if errors.As(err, &end) {
		err = &closed{int(end.Code), end.Reason}
	}
	return kind == coder.MessageBinary, payload, err
}

func (p coderPeer) write(b []byte) error { return p.conn.Write(p.ctx, coder.MessageBinary, b) }

func (p coderPeer) close(code int, reason string) error {
	return p.conn.Close(coder.StatusCode(code), reason)
}

// pairs are both roles of ours against each of the others.
var pairs = []struct {
	name string
	open func(testing.TB, ws.Limits) (*ws.Conn, peer)
}{
	{"server to gorilla", func(t testing.TB, l ws.Limits) (*ws.Conn, peer) {
		url, accepted := listen(t, ws.UpgradeOptions{Limits: l})
		conn, answer, err := websocket.DefaultDialer.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return <-accepted, ownGorilla(t, conn)
	}},
	{"server to coder", func(t testing.TB, l ws.Limits) (*ws.Conn, peer) {
		url, accepted := listen(t, ws.UpgradeOptions{Limits: l})
		conn, _, err := coder.Dial(t.Context(), url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return <-accepted, ownCoder(t, conn)
	}},
	{"client to gorilla", func(t testing.TB, l ws.Limits) (*ws.Conn, peer) {
		there := make(chan peer, 1)
		url := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
			if err != nil {
				t.Errorf("gorilla refused: %v", err)
				return
			}
			there <- ownGorilla(t, conn)
		})
		return dial(t, url, ws.DialOptions{Limits: l}), <-there
	}},
	{"client to coder", func(t testing.TB, l ws.Limits) (*ws.Conn, peer) {
		there := make(chan peer, 1)
		url := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
			conn, err := coder.Accept(w, r, nil)
			if err != nil {
				t.Errorf("coder refused: %v", err)
				return
			}
			there <- ownCoder(t, conn)
		})
		return dial(t, url, ws.DialOptions{Limits: l}), <-there
	}},
}

// eachPair runs a test in both roles against each other implementation.
func eachPair(t *testing.T, limits ws.Limits, test func(*testing.T, *ws.Conn, peer)) {
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			ours, theirs := p.open(t, limits)
			test(t, ours, theirs)
		})
	}
}

func ownGorilla(t testing.TB, conn *websocket.Conn) peer {
	t.Cleanup(func() { conn.Close() })
	_ = conn.NetConn().SetDeadline(time.Now().Add(patience))
	return gorillaPeer{conn}
}

func ownCoder(t testing.TB, conn *coder.Conn) peer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() { _ = conn.CloseNow(); cancel() })
	conn.SetReadLimit(-1)
	return coderPeer{ctx, conn}
}

// listen upgrades with our server side and hands out what it accepted.
func listen(t testing.TB, o ws.UpgradeOptions) (url string, accepted <-chan *ws.Conn) {
	conns := make(chan *ws.Conn, 1)
	return serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.Upgrade(w, r, o)
		if err != nil {
			return // it has answered the request
		}
		conns <- own(t, conn)
	}), conns
}

func dial(t testing.TB, url string, o ws.DialOptions) *ws.Conn {
	t.Helper()
	conn, err := ws.Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return own(t, conn)
}

func own(t testing.TB, conn *ws.Conn) *ws.Conn {
	t.Cleanup(func() { conn.Close() })
	return conn
}

func serveHTTP(t testing.TB, f http.HandlerFunc) (url string) {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}
