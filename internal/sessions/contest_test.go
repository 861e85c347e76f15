package sessions_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// dialWebSocket opens a WebSocket, whose frames are read as one stream.
func dialWebSocket(t *testing.T, url string) *peer {
	t.Helper()
	c, answer, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body != nil {
		answer.Body.Close()
	}
	return wrap(t, websocket.NetConn(t.Context(), c, websocket.MessageBinary))
}

// TestTheNewestConnectionWins: two with one ticket, because an answer is on its way
// or somebody copied it. The older one is told why it ends.
func TestTheNewestConnectionWins(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	site := httptest.NewServer(d.WebSocket())
	defer site.Close()
	dial := func() *peer { return dialWebSocket(t, site.URL) }
	first := dial()
	w := first.hello("", nil)
	first.confirm(0)
	client := arpctest.Receive(t, d.clients, "session")
	first.call(1, "/run", "a")
	ask := &asked{Ticket: w.Ticket, Received: 1}
	older := dial()
	if w := older.hello("", ask); !w.resumed() || *w.Received != 1 {
		t.Fatalf("the older: %v", w)
	}
	if err := first.end(); !isClose(err) {
		t.Errorf("the first ended with %v", err)
	}
	older.write(request(2, "/run", "b"))
	arpctest.Eventually(t, "the older's request runs", func() bool { return d.runs("b") == 1 })
	newest := dial()
	w = newest.hello("", ask)
	if !w.resumed() || *w.Received != 2 {
		t.Fatalf("the newest: %v, %+v", w, w)
	}
	if err := older.end(); !isClose(err) {
		t.Errorf("the older ended with %v", err)
	}
	if f := newest.read(); f.Seq != 2 || f.Body != "ran" {
		t.Errorf("the answer to the older's request is %+v", f)
	}
	if d.runs("a") != 1 || d.runs("b") != 1 || d.ended.Load() != 0 || client.State() != arpc.StateOpen {
		t.Errorf("ran %d and %d times, ended %d", d.runs("a"), d.runs("b"), d.ended.Load())
	}
}

// isClose reports whether a WebSocket ended with a reason.
func isClose(err error) bool {
	var told websocket.CloseError
	return errors.As(err, &told) && told.Reason != ""
}

// held is an answer to an upgrade that waits.
type held struct {
	http.ResponseWriter
	until <-chan struct{}
}

func (h held) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	<-h.until
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// TestLateUpgrade: which of two attempts is the late one is not changed by how long
// their upgrades take.
func TestLateUpgrade(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	first, upgrade := make(chan bool, 1), make(chan struct{})
	first <- true
	begun := make(chan bool, 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-first:
			begun <- true
			w = held{w, upgrade}
		default:
		}
		d.WebSocket().ServeHTTP(w, r)
	}))
	defer site.Close()
	s := d.begin(t, "", "")
	spent := s.ticket
	park(t, s)
	late := make(chan *peer, 1)
	go func() { late <- dialWebSocket(t, site.URL) }()
	arpctest.Receive(t, begun, "the first upgrade")
	p := dialWebSocket(t, site.URL)
	if w := p.hello("", &asked{Ticket: spent}); !w.resumed() {
		t.Fatalf("the newest: %v", w)
	}
	p.confirm(0)
	p.call(1, "/run", "a") // which shows that the confirm in front of it was read
	close(upgrade)
	if w := arpctest.Receive(t, late, "the first connection").hello("", &asked{Ticket: spent}); w.Code != "unavailable" {
		t.Errorf("the late one: %v, %+v", w, w)
	}
	p.call(2, "/run", "b")
}

// TestRace: connections that show one ticket at the same moment, and send again what
// the server says it has not: one is left, and everything ran once.
func TestRace(t *testing.T) {
	const rounds, racers, requests = 50, 8, 5
	d := open(t, arpc.Limits{}, false)
	for round := range rounds {
		s := d.begin(t, "", "")
		park(t, s)
		id := func(n int) string { return fmt.Sprint(round, " ", n) }
		var racing sync.WaitGroup
		for range racers {
			p := connect(t, d.address, "")
			racing.Go(func() {
				w, err := p.tryGreet(greeting{Caps: caps, Session: &asked{Ticket: s.ticket}})
				if err != nil || !w.resumed() {
					return // another one was faster, or came later
				}
				for n := int(*w.Received); n < requests; n++ {
					if p.tryWrite(request(uint64(n), "/run", id(n))) != nil {
						return
					}
				}
			})
		}
		racing.Wait()
		for n := range requests {
			arpctest.Eventually(t, "request "+id(n), func() bool { return d.runs(id(n)) > 0 })
		}
		d.resume(t, s, "") // no racer confirmed that it has another ticket
		if s.sent != requests {
			t.Errorf("the server received %d requests, want %d", s.sent, requests)
		}
		for n := range requests {
			if runs := d.runs(id(n)); runs != 1 {
				t.Errorf("request %s ran %d times", id(n), runs)
			}
		}
		s.write(rawframe.Notify(rawframe.FlagOutside, 0, "arpc.goaway", ""))
		s.Close()
	}
}
