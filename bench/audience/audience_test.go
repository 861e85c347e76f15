package audience

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// publisher is a server that does with each order what script says.
type publisher struct {
	t       *testing.T
	clients chan *websocket.Conn
	script  func(clients []*websocket.Conn, number uint64) error
}

const textSize = 32

// audienceOf has n subscribers of a server with a script.
func audienceOf(t *testing.T, n, window int, script func([]*websocket.Conn, uint64) error) *Audience {
	t.Helper()
	p := publisher{t: t, clients: make(chan *websocket.Conn, n), script: script}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := http.Server{Handler: &p, ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(ln) }() // until it is closed
	t.Cleanup(func() { _ = web.Close() })

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	links := make([]*Link, n)
	clients := make([]*websocket.Conn, n)
	for i := range links {
		if links[i], err = Open(ctx, new(net.Dialer), ln.Addr().String(), "/"); err != nil {
			t.Fatal(err)
		}
		clients[i] = <-p.clients
	}
	a, err := New(echoing, links, p.orders(clients), textSize, window)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// echoing delivers messages as they are, and answers "?" with "!".
var echoing = Protocol{Read: func(message []byte, deliver func([]byte) error) ([]byte, error) {
	if string(message) == "?" {
		return []byte("!"), nil
	}
	return nil, deliver(message)
}}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var upgrader websocket.Upgrader
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.clients <- conn
}

// orders is a writer that publishes for each byte. What it writes fits into the
// buffers of the sockets.
func (p *publisher) orders(clients []*websocket.Conn) io.Writer {
	var number uint64
	return writerFunc(func(b []byte) (int, error) {
		for range b {
			number++
			if err := p.script(clients, number); err != nil {
				return 0, err
			}
		}
		return len(b), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func publish(c *websocket.Conn, number uint64) error {
	return c.WriteMessage(websocket.TextMessage, AppendText(nil, number, textSize))
}

func publishAll(clients []*websocket.Conn, number uint64) error {
	for _, c := range clients {
		if err := publish(c, number); err != nil {
			return err
		}
	}
	return nil
}

func TestEveryDeliveryIsCounted(t *testing.T) {
	var published uint64
	a := audienceOf(t, 7, 3, func(clients []*websocket.Conn, number uint64) error {
		published = number
		return publishAll(clients, number)
	})
	for range 2 { // numbers go on
		before := published
		outcome, err := a.Run(20 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if n := published - before; outcome.Calls != int64(7*n) || outcome.Lost != 0 || n < 3 || outcome.P99 <= 0 {
			t.Errorf("%d published, outcome %+v", n, outcome)
		}
	}
}

func TestWhatNeverComesIsLost(t *testing.T) {
	var published uint64
	a := audienceOf(t, 3, 2, func(clients []*websocket.Conn, number uint64) error {
		published = number
		if number%5 == 0 {
			clients = clients[1:]
		}
		return publishAll(clients, number)
	})
	a.patience = 100 * time.Millisecond // the last one may be missing
	outcome, err := a.Run(20 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	want := int64(published / 5)
	if want == 0 || outcome.Lost != want || outcome.Calls+outcome.Lost != int64(3*published) {
		t.Errorf("%d published, outcome %+v", published, outcome)
	}
}

func TestFramesMayComeInPieces(t *testing.T) {
	a := audienceOf(t, 1, 2, func(clients []*websocket.Conn, number uint64) error {
		socket := clients[0].NetConn()
		frame := serverFrame(Text, AppendText(nil, number, textSize))
		for _, part := range [][]byte{frame[:1], frame[1:20], frame[20:]} {
			if _, err := socket.Write(part); err != nil {
				return err
			}
		}
		return nil
	})
	if outcome, err := a.Run(20 * time.Millisecond); err != nil || outcome.Lost != 0 || outcome.Calls == 0 {
		t.Errorf("outcome %+v, %v", outcome, err)
	}
}

func TestServersAreAnswered(t *testing.T) {
	answers := make(chan string, 1)
	a := audienceOf(t, 1, 1, func(clients []*websocket.Conn, number uint64) error {
		c := clients[0]
		if number == 1 {
			if err := askBoth(c, answers); err != nil {
				return err
			}
		}
		return publish(c, number)
	})
	if _, err := a.Run(time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pong now", "!"} {
		select {
		case got := <-answers:
			if got != want {
				t.Errorf("answered %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no %q", want)
		}
	}
}

// askBoth sends a ping and a question, and tells what comes back.
func askBoth(c *websocket.Conn, answers chan<- string) error {
	c.SetPongHandler(func(data string) error {
		answers <- "pong " + data
		return nil
	})
	go func() {
		if _, message, err := c.ReadMessage(); err == nil {
			answers <- string(message)
		}
	}()
	ping := c.WriteControl(websocket.PingMessage, []byte("now"), time.Now().Add(time.Second))
	return errors.Join(ping, c.WriteMessage(websocket.TextMessage, []byte("?")))
}

func TestASubscriberThatIsLetGoEndsTheRun(t *testing.T) {
	for name, end := range map[string]func(*websocket.Conn) error{
		"closed": func(c *websocket.Conn) error { return c.Close() },
		"told": func(c *websocket.Conn) error {
			words := websocket.FormatCloseMessage(websocket.CloseTryAgainLater, "slow")
			return c.WriteMessage(websocket.CloseMessage, words)
		},
	} {
		a := audienceOf(t, 2, 1, func(clients []*websocket.Conn, number uint64) error {
			return errors.Join(publish(clients[0], number), end(clients[1]))
		})
		if outcome, err := a.Run(time.Second); err == nil {
			t.Errorf("%s: outcome %+v", name, outcome)
		}
	}
}

func TestWhatIsReadAheadIsNotForgotten(t *testing.T) {
	var ahead []byte
	for number := range uint64(2) {
		ahead = append(ahead, serverFrame(Text, fmt.Append(nil, "hello ", number))...)
	}
	client, server := pair(t)
	go func() { _, _ = server.Write(ahead) }() // a failure is a message that does not come
	l := newLink(client)
	for number := range 2 {
		got, err := l.Receive()
		if want := fmt.Sprint("hello ", number); err != nil || string(got) != want {
			t.Fatalf("received %q, %v, want %q", got, err, want)
		}
	}
}

func TestARefusedUpgradeFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(ln) }() // until it is closed
	t.Cleanup(func() { _ = web.Close() })
	if _, err := Open(t.Context(), new(net.Dialer), ln.Addr().String(), "/"); err == nil {
		t.Error("a link to nothing was opened")
	}
}

func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() })
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}
