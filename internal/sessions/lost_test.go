package sessions_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
)

// TestLostSession: when a session cannot go on, a client is told of each thing that
// it cannot know, and what never left is sent in the next session.
func TestLostSession(t *testing.T) {
	d := open(t, arpc.Limits{Grace: 50 * time.Millisecond}, false)
	proxy := cuts.Start(t, cuts.Config{Server: d.address})
	h := arpc.NewHandler()
	lost, again := make(chan error, 1), make(chan bool, 2)
	h.HandleConnected(func(*arpc.Client) { again <- true })
	h.HandleDisconnected(func(_ *arpc.Client, err error) { lost <- err })
	dial := func() (net.Conn, error) { return net.Dial("tcp", proxy.Address) }
	c, err := arpc.NewClient(dial, arpc.WithHandler(h), arpc.WithBackoff(arpc.Backoff{First: time.Millisecond, Max: 10 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Stop(); <-c.Done() }()
	arpctest.Receive(t, again, "the first session")
	accepted := arpctest.Receive(t, d.clients, "the session")
	call := func(method, id string) chan error {
		failed := make(chan error, 1)
		go func() { failed <- c.Call(method, id, nil, 3*arpctest.Wait) }()
		return failed
	}
	left := call("/wait", "left")
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("left") == 1 })
	stream := c.NewStream("/read")
	if err := stream.Send("a"); err != nil {
		t.Fatal(err)
	}
	proxy.Down()
	arpctest.Eventually(t, "the client knows", func() bool { return c.State() != arpc.StateOpen })
	stays := call("/run", "stays")
	arpctest.Closed(t, accepted.Done(), "the session")
	proxy.Up()
	arpctest.Receive(t, again, "the next session")
	var coded *arpc.Error
	if err := arpctest.Receive(t, left, "the call that left"); !errors.As(err, &coded) || coded.Code != arpc.CodeUnavailable || !coded.Sent {
		t.Errorf("the call that left: %v, %+v", err, coded)
	}
	if err := arpctest.Receive(t, stays, "the call that never left"); err != nil {
		t.Errorf("the call that never left: %v", err)
	}
	if n := d.runs("stays"); n != 1 {
		t.Errorf("the call that never left ran %d times", n)
	}
	if err := arpctest.Receive(t, lost, "the end of the session at the client"); arpc.CodeOf(err) != arpc.CodeUnavailable {
		t.Errorf("the session ended with %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), arpctest.Wait)
	defer cancel()
	if err := stream.RecvWith(ctx, nil); arpc.CodeOf(err) != arpc.CodeUnavailable {
		t.Errorf("the stream ended with %v", err)
	}
	d.release()
}

// TestBusySession: a connection that does not let go of its session holds up the
// next one, which is told to come again, with the same ticket.
func TestBusySession(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	s.write(request(1, "/hold", "a"))
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	if _, w := d.ask(t, "", s.ticket, 0); w.Code != "unavailable" {
		t.Errorf("while it is busy: %v, %+v", w, w)
	}
	d.release()
	arpctest.Eventually(t, "parked", func() bool { return s.client.State() == arpc.StateWaiting })
	d.resume(t, s, "")
	if s.sent != 1 || d.runs("a") != 1 {
		t.Errorf("the server received %d requests, and ran it %d times", s.sent, d.runs("a"))
	}
}
