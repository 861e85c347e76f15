package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

// known opens a server whose clients are who their token says.
func known(t *testing.T) *house {
	t.Helper()
	return open(t, func(s *server.Server) {
		s.Handler.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
			if cr.Token == "" {
				return nil, nil
			}
			return &arpc.Identity{ID: cr.Token}, nil
		})
	})
}

// as is a client with a token, which hears /for/you.
func (h *house) as(t *testing.T, token string, answer func(ctx *arpc.Context)) (*arpc.Client, <-chan string) {
	t.Helper()
	heard := make(chan string, 100)
	handler := arpc.NewHandler()
	handler.Handle("/for/you", func(ctx *arpc.Context) { heard <- string(ctx.Body()) })
	if answer != nil {
		handler.Handle("/ask", answer)
	}
	c, err := arpc.Dial(t.Context(), h.address("tcp"), arpc.WithHandler(handler),
		arpc.WithToken(func(context.Context) (string, error) { return token, nil }),
		arpc.WithBackoff(arpc.Backoff{First: time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c, heard
}

func TestUsers(t *testing.T) {
	h := known(t)
	first, one := h.as(t, "ada", nil)
	_, two := h.as(t, "ada", nil)
	_, bob := h.as(t, "bob", nil)
	if n := len(h.ClientsOf("ada")); n != 2 {
		t.Errorf("%d clients of ada", n)
	}
	if n, err := h.SendToUser("ada", "/for/you", "both"); n != 2 || err != nil {
		t.Errorf("sent to %d, %v", n, err)
	}
	if n, err := h.SendToUser("nobody", "/for/you", "none"); n != 0 || err != nil {
		t.Errorf("sent to %d, %v", n, err)
	}
	if err := h.BroadcastExcept("/for/you", "not for bob", h.ClientsOf("bob")...); err != nil {
		t.Error(err)
	}
	for _, heard := range []<-chan string{one, two} {
		for _, want := range []string{"both", "not for bob"} {
			if got := arpctest.Receive(t, heard, want); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
	}
	if n := h.DisconnectUser("ada", "see you"); n != 2 {
		t.Errorf("disconnected %d", n)
	}
	arpctest.Eventually(t, "gone", func() bool { return len(h.ClientsOf("ada")) == 0 && first.State() != arpc.StateOpen })
	if err := h.Broadcast("/for/you", "bob alone"); err != nil {
		t.Error(err)
	}
	if got := arpctest.Receive(t, bob, "bob"); got != "bob alone" {
		t.Errorf("bob heard %q", got)
	}
}

// outOfTime is a context whose deadline passes when a test says so.
type outOfTime struct {
	context.Context
	out chan struct{}
}

func (c outOfTime) Done() <-chan struct{} { return c.out }

func (c outOfTime) Err() error {
	select {
	case <-c.out:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestGather(t *testing.T) {
	h := known(t)
	var asked atomic.Int64
	silent := make(chan *arpc.Context, 1) // kept, or it would be answered as forgotten
	h.as(t, "answers", func(ctx *arpc.Context) { asked.Add(1); _ = ctx.Write("yes, " + string(ctx.Body())) })
	h.as(t, "refuses", func(ctx *arpc.Context) { asked.Add(1); _ = ctx.Error("no") })
	h.as(t, "silent", func(ctx *arpc.Context) { asked.Add(1); silent <- ctx })
	ctx := outOfTime{t.Context(), make(chan struct{})}
	gathered := make(chan []server.Reply, 1)
	go func() {
		replies, err := h.Gather(ctx, "/ask", "please", nil)
		if err != nil {
			t.Error(err)
		}
		gathered <- replies
	}()
	arpctest.Eventually(t, "one alone that has not answered", func() bool { return asked.Load() == 3 && h.Stats().Calls == 1 })
	close(ctx.out)
	replies := arpctest.Receive(t, gathered, "replies")
	if len(replies) != 3 {
		t.Fatalf("%d replies", len(replies))
	}
	for _, r := range replies {
		var text string
		err := r.Decode(&text)
		got := fmt.Sprint(r.Client.Identity().ID, " ", text, " ", arpc.CodeOf(err))
		switch got {
		case "answers yes, please ", "refuses  unknown", "silent  deadline_exceeded":
		default:
			t.Errorf("%s: %v", got, err)
		}
	}
	some, err := h.Gather(t.Context(), "/ask", "please", func(c *arpc.Client) bool { return c.Identity().ID == "answers" })
	if err != nil || len(some) != 1 || some[0].Err != nil {
		t.Errorf("of one: %+v, %v", some, err)
	}
	if _, err := h.Gather(t.Context(), "/ask", make(chan int), nil); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("what cannot be sent: %v", err)
	}
}

// TestUserOfALaterToken: whom the upgrade takes for one user, and hello for another,
// is the other's client, also where it was announced before.
func TestUserOfALaterToken(t *testing.T) {
	h := open(t, func(s *server.Server) {
		s.Handler.SetLimits(arpc.Limits{Grace: -1})
		s.Handler.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
			if cr.Source == arpc.FromUpgrade {
				return &arpc.Identity{ID: "ada"}, nil
			}
			return &arpc.Identity{ID: cr.Token}, nil
		})
	})
	c, err := arpc.Dial(t.Context(), h.address("websocket"), arpc.WithHandler(arpc.NewHandler()),
		arpc.WithToken(func(context.Context) (string, error) { return "bob", nil }))
	if err != nil {
		t.Fatal(err)
	}
	if ada, bob := len(h.ClientsOf("ada")), len(h.ClientsOf("bob")); ada != 0 || bob != 1 {
		t.Errorf("ada has %d clients, bob %d", ada, bob)
	}
	c.Stop()
	arpctest.Closed(t, c.Done(), "client")
	arpctest.Eventually(t, "nobody", func() bool { return len(h.Clients())+len(h.ClientsOf("ada"))+len(h.ClientsOf("bob")) == 0 })
}
