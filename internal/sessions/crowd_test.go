package sessions_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
)

// TestTheNewestConnectionWins: two with one ticket, because an answer is on its way
// or somebody copied it. The older one is told why it ends.
func TestTheNewestConnectionWins(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	site := httptest.NewServer(d.WebSocket())
	defer site.Close()
	dial := func() *peer {
		c, answer, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(site.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body != nil {
			answer.Body.Close()
		}
		return wrap(t, websocket.NetConn(t.Context(), c, websocket.MessageBinary))
	}
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
	if f := newest.read(); f.seq != 2 || f.body != "ran" {
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

// TestRace: connections that show one ticket at the same moment, and send again what
// the server says it has not: one is left, and everything ran once.
func TestRace(t *testing.T) {
	const rounds, racers, requests = 50, 8, 5
	d := open(t, arpc.Limits{}, false)
	for round := range rounds {
		s := d.begin(t, "", "")
		d.park(t, s)
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
		s.write(frame{cmd: cmdNotify, flags: flagOutside, method: "arpc.goaway"})
		s.Close()
	}
}

// TestFullJournal: what does not fit is not there, and the client is told so. It can
// go on if it has it.
func TestFullJournal(t *testing.T) {
	const notes = 100
	for name, c := range map[string]struct {
		received uint64
		resumed  bool
	}{"had nothing": {0, false}, "had all": {notes, true}, "had all but the last": {notes - 1, true}} {
		t.Run(name, func(t *testing.T) {
			d := open(t, arpc.Limits{Journal: 4 << 10}, false)
			s := d.begin(t, "", "")
			for n := range notes {
				if err := s.client.Notify("/note", strings.Repeat("x", 100+n), arpctest.Wait); err != nil {
					t.Fatal(err)
				}
				s.read()
			}
			d.park(t, s)
			p, w := d.ask(t, "", s.ticket, c.received)
			if c.resumed != w.resumed() || !c.resumed && !w.notResumed("gap") {
				t.Fatalf("received %d: %v", c.received, w)
			}
			if !c.resumed {
				arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
				return
			}
			for n := c.received; n < notes; n++ {
				if f := p.read(); len(f.body) != 100+int(n) {
					t.Errorf("sent again was %+v", f)
				}
			}
		})
	}
}

// TestFullJournalWhileParked: who sends waits for room, and is told that nothing left.
func TestFullJournalWhileParked(t *testing.T) {
	d := open(t, arpc.Limits{Journal: 4 << 10}, false)
	s := d.begin(t, "", "")
	d.park(t, s)
	body, taken := strings.Repeat("x", 500), 0
	var err error
	for err == nil && taken < 100 {
		if err = s.client.Notify("/note", fmt.Sprint(taken, body), 10*time.Millisecond); err == nil {
			taken++
		}
	}
	var coded *arpc.Error
	if !errors.As(err, &coded) || coded.Sent || taken < 5 || taken > 8 {
		t.Fatalf("%d were taken, then %v", taken, err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- s.client.Notify("/note", "waited", arpctest.Wait) }()
	d.resume(t, s, "")
	for n := range taken {
		if f := s.read(); f.body != fmt.Sprint(n, body) {
			t.Errorf("%d: sent was %.40q", n, f.body)
		}
	}
	s.confirm(s.received)
	if f := s.read(); f.body != "waited" {
		t.Errorf("after it came %.40q", f.body)
	}
	if err := arpctest.Receive(t, waiting, "the notify that waited"); err != nil {
		t.Error(err)
	}
}

// TestRoomForParked: there is only so much, and the oldest of the same identity
// makes way first.
func TestRoomForParked(t *testing.T) {
	type arrival struct{ who, from string }
	for name, c := range map[string]struct {
		limits arpc.Limits
		come   []arrival
		left   string // + for each that is there at the end
	}{
		"of one identity": {
			arpc.Limits{ParkedPerIdentity: 2},
			[]arrival{{"bob", ""}, {"alice", ""}, {"alice", ""}, {"alice", ""}},
			"+-++",
		},
		"of one address": {
			arpc.Limits{ParkedPerAddress: 2},
			[]arrival{{"a", "127.0.0.3"}, {"b", "127.0.0.2"}, {"c", "127.0.0.2"}, {"d", "127.0.0.2"}},
			"+-++",
		},
		"in all, of one's own": {
			arpc.Limits{Parked: 3},
			[]arrival{{"bob", ""}, {"alice", ""}, {"carol", ""}, {"alice", ""}},
			"+-++",
		},
		"in all": {
			arpc.Limits{Parked: 3},
			[]arrival{{"bob", ""}, {"alice", ""}, {"carol", ""}, {"dave", ""}},
			"-+++",
		},
		"enough": {
			arpc.Limits{Parked: 4, ParkedPerIdentity: 2, ParkedPerAddress: 4},
			[]arrival{{"bob", ""}, {"alice", ""}, {"bob", ""}, {"alice", ""}},
			"++++",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, c.limits, true)
			var parked []*session
			for _, a := range c.come {
				s := d.begin(t, a.who, a.from)
				d.park(t, s)
				parked = append(parked, s)
			}
			arpctest.Eventually(t, "so many ended", func() bool { return int(d.ended.Load()) == strings.Count(c.left, "-") })
			for i, s := range parked {
				_, w := d.ask(t, c.come[i].who, s.ticket, 0)
				if want := c.left[i] == '+'; w.resumed() != want {
					t.Errorf("%d, %s: %v", i, c.come[i].who, w)
				}
			}
		})
	}
}

// TestStorm: all clients lose their connections at once, with a call under way, and
// all come back.
func TestStorm(t *testing.T) {
	clients := scaled(2000)
	d := open(t, arpc.Limits{ParkedPerAddress: 4096}, false)
	proxy, err := cuts.NewProxy(cuts.Config{Server: d.address})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	answered := make(chan error, clients)
	var lost atomic.Int64
	for i := range clients {
		h := arpc.NewHandler()
		h.HandleDisconnected(func(*arpc.Client, error) { lost.Add(1) })
		dial := func() (net.Conn, error) { return net.Dial("tcp", proxy.Address) }
		c, err := arpc.NewClient(dial, arpc.WithHandler(h), arpc.WithBackoff(arpc.Backoff{First: 10 * time.Millisecond, Max: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { c.Stop(); <-c.Done() }()
		go func() { answered <- c.Call("/wait", fmt.Sprint(i), nil, 10*arpctest.Wait) }()
	}
	arpctest.Eventually(t, "all calls run", func() bool { return d.Stats().Requests == clients })
	for range clients {
		arpctest.Receive(t, d.clients, "session").OnDisconnected(func(*arpc.Client) { lost.Add(1) })
	}
	began := time.Now()
	if n := proxy.CutAll(true); n != clients {
		t.Errorf("%d connections were cut, want %d", n, clients)
	}
	for d.resumed.Load() < int64(clients) && time.Since(began) < 10*arpctest.Wait {
		time.Sleep(time.Millisecond)
	}
	if n := d.resumed.Load(); n != int64(clients) {
		t.Errorf("%d of %d came back", n, clients)
	}
	figure(t, "storm_sessions", clients)
	figure(t, "storm_seconds", time.Since(began).Seconds())
	close(d.released)
	for range clients {
		if err := arpctest.Receive(t, answered, "an answer"); err != nil {
			t.Error(err)
		}
	}
	for i := range clients {
		if n := d.runs(fmt.Sprint(i)); n != 1 {
			t.Errorf("request %d ran %d times", i, n)
		}
	}
	if n := lost.Load(); n != 0 {
		t.Errorf("%d sessions were lost", n)
	}
}

// tally counts the bytes of frames that go one way, by what they are for.
type tally struct {
	mu       sync.Mutex // guards what follows
	rest     []byte     // of a frame that is not whole
	frames   map[byte]int
	all      int
	confirms int
}

// take takes what went that way.
func (y *tally) take(b []byte) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.frames == nil {
		y.frames = map[byte]int{}
	}
	y.all += len(b)
	y.rest = append(y.rest, b...)
	for len(y.rest) >= headerLen {
		size := headerLen + int(binary.LittleEndian.Uint32(y.rest))
		if len(y.rest) < size {
			return
		}
		cmd := y.rest[5] & 0x3f
		y.frames[cmd]++
		if cmd == cmdConfirm {
			y.confirms += size
		}
		y.rest = y.rest[size:]
	}
}

// TestConfirmsAreFew: of the bytes of a busy session, under one in a hundred.
func TestConfirmsAreFew(t *testing.T) {
	var ways [2]tally
	d := open(t, arpc.Limits{}, false)
	proxy, err := cuts.NewProxy(cuts.Config{Server: d.address, Tap: func(_ int, way cuts.Way, b []byte) { ways[way].take(b) }})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	c, err := arpc.Dial(t.Context(), "tcp://"+proxy.Address, arpc.WithHandler(arpc.NewHandler()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Stop(); <-c.Done() }()
	for range 20_000 { // of small frames, which is the worst
		if err := c.Call("/run", "a", nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
	for way := range ways {
		y := &ways[way]
		y.mu.Lock()
		share := float64(y.confirms) / float64(y.all)
		figure(t, fmt.Sprintf("confirms_%v_percent", cuts.Way(way)), fmt.Sprintf("%.3f", 100*share))
		if y.frames[cmdConfirm] < 20_000/256 {
			t.Errorf("%v: %d confirms", cuts.Way(way), y.frames[cmdConfirm])
		}
		if share >= 0.01 {
			t.Errorf("%v: confirms are %d of %d bytes", cuts.Way(way), y.confirms, y.all)
		}
		y.mu.Unlock()
	}
}
