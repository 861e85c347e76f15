package sessions_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// TestReplacedAgainAndAgain: however a session goes from one connection to the
// next, in the end it is where the client is.
func TestReplacedAgainAndAgain(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	for range arpctest.Scaled(3000) {
		before := s.peer
		d.resume(t, s, "")
		before.Close()
		arpctest.Eventually(t, "open", func() bool { return s.client.State() == arpc.StateOpen })
		if err := s.client.Notify("/note", "x", arpc.TimeZero); err != nil {
			t.Fatal(err)
		}
		if f := s.read(); f.Method != "/note" {
			t.Fatalf("got %+v", f)
		}
	}
}

// TestSentWhileTakenUp: what is sent while a session goes to another connection
// gets there.
func TestSentWhileTakenUp(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	const burst = 100
	for range arpctest.Scaled(2000) {
		before, sent := s.peer, make(chan error, 1)
		go func() {
			var err error
			for range burst {
				err = errors.Join(err, s.client.Notify("/note", "x", arpctest.Wait))
			}
			sent <- err
		}()
		d.resume(t, s, "")
		before.Close()
		for range burst {
			s.read()
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnswerLargerThanTheJournal: it waits for the next connection, like what there
// is no room for.
func TestAnswerLargerThanTheJournal(t *testing.T) {
	d := open(t, arpc.Limits{Journal: 4 << 10}, false)
	large := strings.Repeat("x", 8<<10)
	d.Handler.Handle("/large", func(ctx *arpc.Context) {
		d.run(ctx)
		<-d.released
		_ = ctx.Write(large) // what is lost is seen below
	})
	s := d.begin(t, "", "")
	s.write(request(1, "/large", "a"))
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	park(t, s)
	d.release()
	d.resume(t, s, "")
	if f := s.read(); f.Seq != 1 || f.Body != large {
		t.Errorf("got an answer of %d bytes", len(f.Body))
	}
}

// TestInlineAnswersWithoutRoom: those that a reader gives at the end of its
// connection are kept, as many as it may give, and a session that cannot keep them
// ends: nobody waits for an answer that does not come.
func TestInlineAnswersWithoutRoom(t *testing.T) {
	for name, few := range map[string]bool{"few": true, "many": false} {
		t.Run(name, func(t *testing.T) {
			const journal = 4 << 10
			d := open(t, arpc.Limits{Journal: journal}, false)
			answer := strings.Repeat("x", journal/3)
			reading, read := make(chan struct{}), make(chan struct{})
			d.Handler.Handle("/first", func(*arpc.Context) { close(reading); <-read }, arpc.Inline)
			d.Handler.Handle("/inline", func(ctx *arpc.Context) { _ = ctx.Write(answer) }, arpc.Inline) // as above
			s := d.begin(t, "", "")
			frames := []rawframe.Frame{rawframe.Notify(0, 0, "/first", "")}
			for n := uint64(1); n <= 5 || n <= 20 && !few; n++ {
				frames = append(frames, request(n, "/inline", ""))
			}
			s.write(frames...) // in one read of the server
			arpctest.Closed(t, reading, "the first notify")
			p := connect(t, d.address, "")
			replaced := make(chan welcome, 1)
			go func() {
				w, _ := p.tryGreet(greeting{Caps: caps, Session: &asked{Ticket: s.ticket}})
				replaced <- w
			}()
			_ = s.end() // the new connection takes its session
			close(read)
			w := arpctest.Receive(t, replaced, "answer to hello")
			if !few {
				if !w.notResumed("unknown") {
					t.Errorf("a session that could not keep its answers: %v", w)
				}
				return
			}
			if !w.resumed() {
				t.Fatalf("resume: %v", w)
			}
			p.confirm(0)
			for n := uint64(1); n <= 5; n++ {
				if f := p.read(); f.Seq != n || f.Body != answer {
					t.Errorf("answer %d is %+v", n, f)
				}
			}
		})
	}
}

// TestServerResumesWhatNobodyAskedFor: what it counts is not what the client does.
func TestServerResumesWhatNobodyAskedFor(t *testing.T) {
	listener := arpctest.Listen(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := listener.Accept()
		if err != nil {
			return
		}
		p := wrap(t, c)
		hello, err := p.tryRead()
		if err != nil {
			return
		}
		_ = p.tryWrite(rawframe.Response(rawframe.FlagOutside, hello.Seq, "arpc.hello",
			`{"arpc":1,"caps":["resume"],"ticket":"a.b","grace":60000,"resumed":true,"received":5}`))
		for err == nil {
			_, err = p.tryRead()
		}
	}()
	c, err := arpc.Dial(t.Context(), "tcp://"+listener.Addr().String(), arpc.WithHandler(arpc.NewHandler()))
	if err == nil {
		t.Errorf("a client that is %s", c.State())
		c.Stop()
		<-c.Done()
	}
	arpctest.Closed(t, ended, "the connection")
}

// TestConfirmBehindATicketThatIsShown: what the last connection says at its end
// spends the ticket that it was taken up with, and no other one.
func TestConfirmBehindATicketThatIsShown(t *testing.T) {
	for name, spent := range map[string]bool{"its own": true, "the next": false} {
		t.Run(name, func(t *testing.T) {
			d := open(t, arpc.Limits{}, false)
			reading, read := make(chan struct{}), make(chan struct{})
			d.Handler.Handle("/first", func(*arpc.Context) { close(reading); <-read }, arpc.Inline)
			s := d.begin(t, "", "")
			ticket := s.ticket
			if spent {
				p, w := d.ask(t, "", ticket, 0)
				if !w.resumed() {
					t.Fatalf("resume: %v", w)
				}
				s.peer = p
			}
			if err := s.client.Notify("/note", "x", arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			s.read()
			s.write(rawframe.Notify(0, 0, "/first", ""), rawframe.Frame{Cmd: rawframe.CmdConfirm, Seq: 1}) // in one read of the server
			arpctest.Closed(t, reading, "the first notify")
			lost := connect(t, d.address, "")
			answer := make(chan welcome, 1)
			go func() {
				w, _ := lost.tryGreet(greeting{Caps: caps, Session: &asked{Ticket: ticket, Received: 1}})
				answer <- w
			}()
			_ = s.end() // the new connection takes its session
			close(read)
			w := arpctest.Receive(t, answer, "answer to hello")
			if spent {
				if !w.notResumed("unknown") {
					t.Errorf("a ticket that was spent meanwhile: %v", w)
				}
				return
			}
			if !w.resumed() {
				t.Fatalf("resume: %v", w)
			}
			lost.Close() // as if the answer had not arrived
			s.received = 1
			d.resume(t, s, "")
		})
	}
}

// TestFirstBroadcastWhileParked: who does not say where it was gets what comes after
// it is back.
func TestFirstBroadcastWhileParked(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	park(t, s)
	for range 2 { // the first one gives all clients their place
		if err := d.Broadcast("/news", "missed"); err != nil {
			t.Fatal(err)
		}
	}
	d.resume(t, s, "")
	d.awaitResumed(t, 1)
	if err := d.Broadcast("/news", "here"); err != nil {
		t.Fatal(err)
	}
	if f := s.read(); f.Body != "here" {
		t.Errorf("got %+v", f)
	}
}

// TestAnswerOutsideOfTheSession belongs to the connection that it was asked on: on
// the next one its number may be that of another request.
func TestAnswerOutsideOfTheSession(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	running, answered := make(chan struct{}), make(chan error, 1)
	d.Handler.Extend(arpc.Extension{Capability: "aside", Routes: []arpc.ExtensionRoute{{
		Method: "arpc.aside", Mode: arpc.Concurrent, Handler: func(ctx *arpc.Context) {
			close(running)
			<-d.released
			answered <- ctx.Write("late")
		},
	}}})
	more := append(slices.Clone(caps), "aside")
	p := connect(t, d.address, "")
	w := p.greet(greeting{Caps: more})
	p.confirm(0)
	s := &session{peer: p, client: arpctest.Receive(t, d.clients, "session")}
	p.write(rawframe.Request(rawframe.FlagOutside, 7, "arpc.aside", ""))
	arpctest.Closed(t, running, "the request")
	park(t, s)
	next := connect(t, d.address, "")
	if w := next.greet(greeting{Caps: more, Session: &asked{Ticket: w.Ticket}}); !w.resumed() {
		t.Fatalf("resume: %v", w)
	}
	d.release()
	if err := arpctest.Receive(t, answered, "the end of the request"); !errors.Is(err, arpc.ErrDisconnected) {
		t.Errorf("it was answered: %v", err)
	}
	if got := next.call(7, "/run", "a"); got != "ran" {
		t.Errorf("got %q", got)
	}
}

// TestStatsOfAParkedSession: what it holds is seen.
func TestStatsOfAParkedSession(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	s.write(request(1, "/wait", "a"))
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	park(t, s)
	if err := s.client.Notify("/note", "x", arpc.TimeZero); err != nil {
		t.Fatal(err)
	}
	want := arpc.Stats{Requests: 1, OutboundFrames: 1, OutboundBytes: rawframe.HeaderLen + len("/notex"), Sessions: 1, Parked: 1, JournalBytes: rawframe.HeaderLen + len("/notex")}
	if got := s.client.Stats(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	d.release()
}
