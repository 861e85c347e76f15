package fanout_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
	"github.com/seed-fbfaa03e/arpc/bench/fanout"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// A subscriber subscribes in the way that the server agreed to.
func TestGreetingFollowsWhatWasAgreed(t *testing.T) {
	for caps, want := range map[string][]string{
		`["batch"]`:          {"arpc.hello", "in_S"},
		`["batch","topics"]`: {"arpc.hello", "arpc.subscribe"},
	} {
		asked := make(chan string, len(want))
		server := httptest.NewServer(answering(t, asked, `{"arpc":1,"caps":`+caps+`,"epoch":"e","offset":7}`))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		greet(ctx, t, strings.TrimPrefix(server.URL, "http://"))
		cancel()
		server.Close()
		if got := []string{<-asked, <-asked}; !slices.Equal(got, want) {
			t.Errorf("with %s it asked for %q, want %q", caps, got, want)
		}
	}
}

func greet(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	c, err := fanout.Named("arpc")
	if err != nil {
		t.Fatal(err)
	}
	l, err := audience.Open(ctx, new(net.Dialer), address, c.Protocol.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := c.Protocol.Greet(l); err != nil {
		t.Error(err)
	}
}

// answering answers every request with the same body, and tells its method.
func answering(t *testing.T, asked chan<- string, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var upgrader websocket.Upgrader
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for {
			_, message, err := conn.ReadMessage()
			if err != nil {
				return // the subscriber left
			}
			f, err := wire.Split(message)
			if err != nil {
				t.Error(err)
				return
			}
			asked <- string(f.Method)
			h := wire.Header{Cmd: wire.Response, Flags: f.Flags, Seq: f.Seq}
			if err := conn.WriteMessage(websocket.BinaryMessage, wire.Append(nil, h, string(f.Method), []byte(body))); err != nil {
				t.Error(err)
				return
			}
		}
	}
}
