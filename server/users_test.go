package server_test

import (
	"context"
	"errors"
	"fmt"
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

func TestGather(t *testing.T) {
	h := known(t)
	refuses := func(ctx *arpc.Context) { _ = ctx.Error("no") }
	silent := make(chan *arpc.Context, 1) // kept, or it would be answered as forgotten
	h.as(t, "answers", func(ctx *arpc.Context) { _ = ctx.Write("yes, " + string(ctx.Body())) })
	h.as(t, "refuses", refuses)
	h.as(t, "silent", func(ctx *arpc.Context) { silent <- ctx })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	replies, err := h.Gather(ctx, "/ask", "please", nil)
	if err != nil || len(replies) != 3 {
		t.Fatalf("%d replies, %v", len(replies), err)
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
