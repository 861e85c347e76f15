package sessions_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// TestResume: what was sent meanwhile comes, in order, and what was not answered is.
func TestResume(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	if len(s.ticket) > 128 {
		t.Errorf("a ticket of %d bytes", len(s.ticket))
	}
	s.write(request(7, "/wait", "a"))
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	park(t, s)
	for _, text := range []string{"one", "two"} {
		if err := s.client.Notify("/note", text, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
	d.resume(t, s, "")
	if s.sent != 1 {
		t.Errorf("the server received %d frames, want 1", s.sent)
	}
	for _, want := range []string{"one", "two"} {
		if f := s.read(); f.Method != "/note" || f.Body != want {
			t.Errorf("got %+v, want %s", f, want)
		}
	}
	d.release()
	if f := s.read(); f.Cmd != rawframe.CmdResponse || f.Seq != 7 || f.Body != "waited" {
		t.Errorf("got %+v, want the answer", f)
	}
	if n := d.runs("a"); n != 1 {
		t.Errorf("the request ran %d times", n)
	}
	d.awaitResumed(t, 1)
	if d.ended.Load() != 0 || len(d.clients) != 0 {
		t.Errorf("ended %d, began %d times", d.ended.Load(), 1+len(d.clients))
	}
}

// TestSlowHello: who waits for a session, however long the hello takes that asks for
// it, is nobody else before.
func TestSlowHello(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	park(t, s)
	p := connect(t, d.address, "")
	ping, err := rawframe.Read(p) // the server wonders who is there
	if err != nil || ping.Cmd != rawframe.CmdPing {
		t.Fatalf("%+v, %v", ping, err)
	}
	w := p.hello("", &asked{Ticket: s.ticket})
	if !w.resumed() {
		t.Fatalf("%+v", w)
	}
	arpctest.Eventually(t, "resumed", func() bool { return d.resumed.Load() == 1 })
	if began, ended := len(d.clients), d.ended.Load(); began != 0 || ended != 0 {
		t.Errorf("%d sessions began, %d ended", began, ended)
	}
}

// TestWhoOnlyListens is known when it answers a ping, or when it ends.
func TestWhoOnlyListens(t *testing.T) {
	for name, answers := range map[string]bool{"answers": true, "does not": false} {
		t.Run(name, func(t *testing.T) {
			d := open(t, arpc.Limits{FirstFrame: 400 * time.Millisecond}, false)
			p := connect(t, d.address, "")
			ping, err := rawframe.Read(p)
			if err != nil || ping.Cmd != rawframe.CmdPing || len(d.clients) > 0 {
				t.Fatalf("%+v, %v, known to %d", ping, err, len(d.clients))
			}
			if answers {
				p.write(rawframe.Frame{Cmd: rawframe.CmdPong, Seq: ping.Seq})
				arpctest.Receive(t, d.clients, "client")
				if d.ended.Load() > 0 {
					t.Error("it ended")
				}
				return
			}
			p.end()
			arpctest.Receive(t, d.clients, "client")
			arpctest.Eventually(t, "the end", func() bool { return d.ended.Load() == 1 })
		})
	}
}

// TestStolenTicket: to somebody else it is of no use, and its owner has it still.
func TestStolenTicket(t *testing.T) {
	d := open(t, arpc.Limits{}, true)
	alice := d.begin(t, "alice", "")
	for _, parked := range []bool{false, true} {
		if parked {
			park(t, alice)
		}
		p, w := d.ask(t, "mallory", alice.ticket, 0)
		if !w.notResumed("identity") {
			t.Errorf("mallory: %v, %+v", w, w)
		}
		mallory := arpctest.Receive(t, d.clients, "another session")
		if mallory == alice.client || mallory.Identity().ID != "mallory" {
			t.Errorf("mallory is %+v", mallory.Identity())
		}
		if got := p.call(1, "/run", "of mallory"); got != "ran" {
			t.Errorf("mallory's own session answers %q", got)
		}
		if !parked {
			alice.call(2, "/run", "of alice") // it is not ended either
		}
	}
	d.resume(t, alice, "alice")
	if id := alice.client.Identity(); id == nil || id.ID != "alice" || alice.client.State() != arpc.StateOpen {
		t.Errorf("after it alice is %+v, %s", id, alice.client.State())
	}
}

// TestSpentTicket: who shows one has a copy, so the session ends, wherever it is.
func TestSpentTicket(t *testing.T) {
	for name, parked := range map[string]bool{"parked": true, "connected": false} {
		t.Run(name, func(t *testing.T) {
			d := open(t, arpc.Limits{}, true)
			s := d.begin(t, "alice", "")
			first := s.ticket
			park(t, s)
			d.resume(t, s, "alice")
			s.call(1, "/run", "a") // which shows that the confirm in front of it was read
			if parked {
				park(t, s)
			}
			if _, w := d.ask(t, "alice", first, 0); !w.notResumed("unknown") {
				t.Errorf("a spent ticket: %v, %+v", w, w)
			}
			arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
			if !parked {
				_ = s.end() // however it ends, it does
			}
			if _, w := d.ask(t, "alice", s.ticket, s.received); !w.notResumed("unknown") {
				t.Errorf("the last ticket of a session that ended: %v", w)
			}
		})
	}
}

// TestGarbageTickets are of no session, and do no harm to any.
func TestGarbageTickets(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	park(t, s)
	for _, ticket := range []string{
		"", ".", "x", "x.y", strings.Repeat("x", 128), strings.Repeat("x", 4096), "\x00\xff", "..", s.ticket + "x", "x" + s.ticket, s.ticket[1:],
	} {
		p, w := d.ask(t, "", ticket, 0)
		if !w.notResumed("unknown") {
			t.Errorf("%.40q: %v, %+v", ticket, w, w)
		}
		p.call(1, "/run", "a")
	}
	d.resume(t, s, "")
}

// TestLostAnswer: until the server knows that the next ticket arrived, the one
// before is good.
func TestLostAnswer(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	first := s.ticket
	park(t, s)
	var lost []string
	for range 3 { // more than once
		p, w := d.ask(t, "", first, 0)
		if !w.resumed() {
			t.Fatalf("the ticket of an answer that was lost: %v", w)
		}
		lost = append(lost, w.Ticket)
		before := d.paused.Load()
		p.Close()
		arpctest.Eventually(t, "paused", func() bool { return d.paused.Load() > before })
	}
	d.resume(t, s, "") // with the first, once more
	s.call(1, "/run", "a")
	park(t, s)
	if _, w := d.ask(t, "", lost[0], 0); !w.notResumed("unknown") {
		t.Errorf("the ticket of an answer that was lost, after another came: %v", w)
	}
}

// TestTicketConfirmedLate: the confirm of a ticket may be read when the ticket was
// shown already. It says nothing of the next one.
func TestTicketConfirmedLate(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	p := connect(t, d.address, "")
	w := p.hello("", nil)
	p.write(request(1, "/hold", "a"), rawframe.Frame{Cmd: rawframe.CmdConfirm}) // the server reads no further than the first
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	ask := greeting{Caps: caps, Session: &asked{Ticket: w.Ticket}}
	next := connect(t, d.address, "")
	answered := make(chan error, 1)
	go func() {
		w, err := next.tryGreet(ask)
		if err == nil && !w.resumed() {
			err = errors.New(w.String())
		}
		answered <- err
	}()
	if err := p.end(); err == nil { // the server has looked at the ticket, and waits
		t.Error("the first connection did not end")
	}
	d.release()
	if err := arpctest.Receive(t, answered, "the answer that is lost"); err != nil {
		t.Fatal(err)
	}
	next.Close()
	last := connect(t, d.address, "")
	if w := last.greet(ask); !w.resumed() {
		t.Errorf("the ticket of an answer that was lost: %v", w)
	}
}

// TestLateAttempt: of the attempts of one client the server may read the first last,
// when its ticket is spent. That is no copy, and harms nothing.
func TestLateAttempt(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	first := s.ticket
	park(t, s)
	for _, confirmed := range []bool{false, true} {
		late := connect(t, d.address, "")
		late.write(rawframe.Frame{Cmd: rawframe.CmdPing, Seq: 1})
		if f := late.read(); f.Cmd != rawframe.CmdPong { // it arrived
			t.Fatalf("a ping was answered with %+v", f)
		}
		if confirmed {
			d.resume(t, s, "")
			s.call(1, "/run", "a") // which shows that the confirm in front of it was read
		} else {
			p, w := d.ask(t, "", first, 0)
			if !w.resumed() {
				t.Fatalf("the newest: %v", w)
			}
			defer p.Close()
		}
		if w := late.hello("", &asked{Ticket: first}); w.Code != "unavailable" {
			t.Errorf("confirmed %v: the late one: %v, %+v", confirmed, w, w)
		}
	}
	s.call(2, "/run", "b")
	d.awaitResumed(t, 2)
	if s.client.State() != arpc.StateOpen {
		t.Errorf("the session is %s", s.client.State())
	}
}

// TestForgedCounts: who claims to have less than it confirmed, or more than it was
// sent, is refused, and nothing else happens.
func TestForgedCounts(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	for _, text := range []string{"one", "two", "three"} {
		if err := s.client.Notify("/note", text, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		s.read()
	}
	s.confirm(2)
	s.call(1, "/run", "a") // received: 4
	park(t, s)
	for _, received := range []uint64{0, 1, 5, 1 << 40, 1<<64 - 1} {
		if _, w := d.ask(t, "", s.ticket, received); w.Code != "invalid_argument" {
			t.Errorf("received %d: %v, %+v", received, w, w)
		}
	}
	if d.ended.Load() != 0 || d.resumed.Load() != 0 {
		t.Errorf("ended %d, resumed %d", d.ended.Load(), d.resumed.Load())
	}
	s.received = 2
	d.resume(t, s, "")
	if f := s.read(); f.Body != "three" {
		t.Errorf("sent again was %+v", f)
	}
	if f := s.read(); f.Body != "ran" {
		t.Errorf("sent again was %+v", f)
	}
}

// TestAnotherHello: a session keeps what it began with.
func TestAnotherHello(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	park(t, s)
	for name, g := range map[string]greeting{
		"fewer capabilities": {Caps: []string{"batch", "cancel", "errors", "kind", "resume"}},
		"another codec":      {Caps: caps, Codec: "cbor"},
	} {
		g.Session = &asked{Ticket: s.ticket}
		p := connect(t, d.address, "")
		if w := p.greet(g); w.Code != "invalid_argument" {
			t.Errorf("%s: %v, %+v", name, w, w)
		}
	}
	d.resume(t, s, "")
}

// TestTooMuchIsConfirmed closes the connection, with the session: who does it counts
// another way than we do.
func TestTooMuchIsConfirmed(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	s.call(1, "/run", "a")
	s.confirm(1)
	s.confirm(0) // less than before is nothing
	s.call(2, "/run", "b")
	s.confirm(3)
	_ = s.end() // however it ends, it does
	arpctest.Eventually(t, "the end of the connection", func() bool { return d.ended.Load()+d.paused.Load() == 1 })
}

// TestGraceIsOver: who comes too late is told so, and nothing is left.
func TestGraceIsOver(t *testing.T) {
	d := open(t, arpc.Limits{Grace: 50 * time.Millisecond}, false)
	s := d.begin(t, "", "")
	s.write(request(1, "/wait", "a"))
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	s.Close()
	arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
	arpctest.Closed(t, s.client.Done(), "the client")
	arpctest.Eventually(t, "no client is left", func() bool { return len(d.Clients()) == 0 }) // a moment later
	if _, w := d.ask(t, "", s.ticket, 0); !w.notResumed("expired") {
		t.Errorf("too late: %v, %+v", w, w)
	}
	d.release()
}

// TestGoaway: a client that ends for good says so, and nobody waits for it.
func TestGoaway(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	s.write(rawframe.Notify(rawframe.FlagOutside, 0, "arpc.goaway", ""))
	s.Close()
	arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
	if d.paused.Load() != 0 {
		t.Error("it was paused before")
	}
	if _, w := d.ask(t, "", s.ticket, 0); !w.notResumed("unknown") {
		t.Errorf("a session that was ended: %v", w)
	}
}

// TestWithoutResume: the session of a peer that does not know the word ends with its
// connection, and is given no ticket.
func TestWithoutResume(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	p := connect(t, d.address, "")
	if w := p.greet(greeting{Caps: caps[:len(caps)-1]}); w.Ticket != "" || w.Grace != 0 {
		t.Errorf("it was answered with %+v", w)
	}
	p.call(1, "/run", "a")
	p.Close()
	arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
	if d.paused.Load() != 0 {
		t.Error("it was paused before")
	}
}

// TestNoGrace: a server that keeps no sessions does not know the word either.
func TestNoGrace(t *testing.T) {
	d := open(t, arpc.Limits{Grace: -1}, false)
	p := connect(t, d.address, "")
	w := p.hello("", nil)
	if w.Ticket != "" || strings.Contains(strings.Join(w.Caps, " "), "resume") {
		t.Errorf("it was answered with %+v", w)
	}
	p.Close()
	arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
}
