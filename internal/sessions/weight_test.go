package sessions_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// note sends a session so many bytes.
func note(t testing.TB, s *session, size int) {
	t.Helper()
	if err := s.client.Notify("/note", strings.Repeat("x", size), arpctest.Wait); err != nil {
		t.Fatal(err)
	}
}

// TestRoomForJournalsOfParked: what the journals hold together is bounded, and who
// holds most makes way: not who came first, and not who is one too many.
func TestRoomForJournalsOfParked(t *testing.T) {
	const limit = 10_000
	type holder struct{ before, parked int } // bytes that it is sent with a connection, and without
	for name, c := range map[string]struct {
		come []holder
		left string // + for each that is there at the end
	}{
		"enough":                          {[]holder{{3000, 0}, {3000, 0}, {0, 3000}}, "+++"},
		"it alone is too much, parked":    {[]holder{{11_000, 0}, {100, 0}}, "-+"},
		"it alone is too much, then":      {[]holder{{100, 0}, {0, 11_000}}, "+-"},
		"who holds most, by parking":      {[]holder{{1000, 0}, {6000, 0}, {2000, 0}, {2000, 0}}, "+-++"},
		"who holds most, by what is sent": {[]holder{{1000, 0}, {6000, 0}, {2000, 0}, {0, 2000}}, "+-++"},
		"who was sent most while parked":  {[]holder{{1000, 0}, {0, 6000}, {2000, 0}, {2000, 0}}, "+-++"},
		"who is the last and holds most":  {[]holder{{3000, 0}, {3000, 0}, {4500, 0}}, "++-"},
		"the oldest of equals":            {[]holder{{3500, 0}, {3500, 0}, {3500, 0}}, "-++"},
		"as many as have to":              {[]holder{{3000, 0}, {3000, 0}, {2900, 0}, {9000, 0}, {9500, 0}}, "+++--"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, arpc.Limits{ParkedBytes: limit}, false)
			var all []*session
			for _, h := range c.come {
				s := d.begin(t, "", "")
				if h.before > 0 {
					note(t, s, h.before)
					s.read()
				}
				s.Close()
				arpctest.Eventually(t, "cut", func() bool { return s.client.State() != arpc.StateOpen })
				if h.parked > 0 {
					note(t, s, h.parked)
				}
				all = append(all, s)
				arpctest.Eventually(t, "there is room", func() bool { return d.Handler.ParkedBytes() <= limit })
			}
			arpctest.Eventually(t, "so many ended", func() bool { return int(d.ended.Load()) == strings.Count(c.left, "-") })
			for i, s := range all {
				_, w := d.ask(t, "", s.ticket, 0)
				if there := c.left[i] == '+'; w.resumed() != there || !there && !w.notResumed("expired") {
					t.Errorf("%d: %v", i, w)
				}
			}
			if n := d.Handler.ParkedBytes(); n != 0 {
				t.Errorf("all came back, and %d bytes are said to be held", n)
			}
		})
	}
}

// TestManyWithLittleStay: one peer cannot fill the journals at the cost of others,
// however often it comes, asks for much, and leaves.
func TestManyWithLittleStay(t *testing.T) {
	const limit, others = 64 << 10, 8
	d := open(t, arpc.Limits{ParkedBytes: limit}, false)
	var small []*session
	for range others {
		s := d.begin(t, "", "")
		park(t, s)
		note(t, s, 1000)
		small = append(small, s)
	}
	for range arpctest.Scaled(200) {
		s := d.begin(t, "", "")
		note(t, s, 20_000)
		s.read()
		s.Close()
	}
	arpctest.Eventually(t, "there is room", func() bool { return d.Handler.ParkedBytes() <= limit })
	for _, s := range small {
		d.resume(t, s, "")
		if f := s.read(); len(f.Body) != 1000 {
			t.Errorf("it got %+v", f)
		}
	}
}

// TestParkedBytesAreCounted: whatever becomes of sessions, those that are said to wait
// and the bytes that they are said to hold are those without a connection, and theirs.
func TestParkedBytesAreCounted(t *testing.T) {
	for seed := range uint64(arpctest.Scaled(20)) {
		c := crowd{door: open(t, arpc.Limits{Journal: 8 << 10, ParkedBytes: 12 << 10, Parked: 5}, false), t: t, random: rand.New(rand.NewPCG(seed, 0))}
		for range 6 {
			c.ask(nil, 0)
		}
		for range 100 {
			c.step()
		}
		arpctest.Eventually(t, "what is counted is held", func() bool {
			waiting, held := 0, 0
			for _, client := range c.clients() {
				if client.State() == arpc.StateWaiting {
					waiting++
					held += client.Stats().JournalBytes
				}
			}
			return c.Handler.Parked() == waiting && waiting <= 5 && c.Handler.ParkedBytes() == held && held <= 12<<10
		})
		for _, s := range c.peers {
			s.Close()
		}
		arpctest.Eventually(t, "all are gone", func() bool {
			for _, client := range c.clients() {
				client.Stop()
			}
			return c.Stats() == arpc.Stats{}
		})
		if n := c.Handler.ParkedBytes(); n != 0 {
			t.Fatalf("seed %d: all are gone, and %d bytes are said to be held", seed, n)
		}
	}
}

// crowd is a server, and who comes and goes there.
type crowd struct {
	*door
	t      *testing.T
	random *rand.Rand
	peers  []*session
	seen   []*arpc.Client
}

// clients are those that the server knew so far.
func (c *crowd) clients() []*arpc.Client {
	for {
		select {
		case client := <-c.door.clients:
			c.seen = append(c.seen, client)
		default:
			return c.seen
		}
	}
}

// step has something happen to somebody. Much of it is refused.
func (c *crowd) step() {
	s := c.peers[c.random.IntN(len(c.peers))]
	switch n := c.random.IntN(16); {
	case n < 6:
		if all := c.clients(); len(all) > 0 {
			_ = all[c.random.IntN(len(all))].Notify("/note", strings.Repeat("x", c.random.IntN(3000)), arpc.TimeZero)
		}
	case n < 9:
		s.Close()
	case n < 11:
		c.ask(s, s.received)
	case n < 12:
		_ = s.tryWrite(rawframe.Frame{Cmd: rawframe.CmdConfirm, Seq: s.received})
	case n < 13:
		c.ask(s, 1<<40) // more than was sent
	case n < 14:
		s.ticket = s.ticket[:len(s.ticket)-3] + "AAA"
		c.ask(s, s.received)
	case n < 15:
		if all := c.clients(); len(all) > 0 {
			all[c.random.IntN(len(all))].Stop()
		}
	default:
		c.ask(nil, 0)
	}
}

// ask says hello, for a session or for another one, and goes on with what it gets.
func (c *crowd) ask(s *session, received uint64) {
	c.t.Helper()
	p := connect(c.t, c.address, "")
	if s == nil {
		c.peers = append(c.peers, &session{peer: p, ticket: p.hello("", nil).Ticket})
		return
	}
	w := p.hello("", &asked{Ticket: s.ticket, Received: received})
	if w.Code != "" {
		p.Close()
		return
	}
	s.Close()
	p.received = received
	s.peer, s.ticket = p, w.Ticket
}
