package feed_test

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is the other end of a subscription's client.
type peer struct {
	t      *testing.T
	client *arpc.Client
	conn   net.Conn
	frames *wire.Decoder
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	near, far := arpctest.Sockets(t)
	c := arpc.NewHandler().ServeConn(near, arpc.Accepted{})
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	_ = far.SetDeadline(time.Now().Add(arpctest.Wait))
	return &peer{t, c, far, wire.NewDecoder(wire.MaxBody)}
}

// next is what comes next: the text of an entry, or an event.
func (p *peer) next() string {
	p.t.Helper()
	for {
		f, ok, err := p.frames.Next()
		if err != nil {
			p.t.Fatal(err)
		}
		if ok && f.Cmd == wire.Ping {
			continue
		}
		if ok {
			return told(p.t, &f)
		}
		n, err := p.conn.Read(p.frames.Buffer())
		if err != nil {
			p.t.Fatal(err)
		}
		p.frames.Advance(n)
	}
}

func told(t *testing.T, f *wire.Frame) string {
	t.Helper()
	if string(f.Method) != feed.Method {
		return string(f.Body)
	}
	var e feed.Event
	if err := json.Unmarshal(f.Body, &e); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprint(e.Event, " ", e.Offset)
	if e.Missed > 0 {
		text += fmt.Sprint(" missed ", e.Missed)
	}
	return text
}

func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.next(); got != w {
			p.t.Fatalf("got %q, want %q", got, w)
		}
	}
}

// entry is one whose text is its number.
func entry(n uint64, tag any) topic.Entry {
	return topic.Entry{Offset: n, Tag: tag, Data: wire.Append(nil, wire.Header{Cmd: wire.Notify, Seq: n}, "/n", fmt.Append(nil, n))}
}

// entries are those from one number to another.
func entries(from, to uint64) (all []topic.Entry) {
	for n := from; n <= to; n++ {
		all = append(all, entry(n, nil))
	}
	return all
}

func numbers(from, to uint64) (all []string) {
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return all
}

func fill(l *topic.Log, from, to uint64) {
	for _, e := range entries(from, to) {
		l.Append(e)
	}
}

// asks collects what subscriptions ask for.
type asks chan feed.Range

func (a asks) older(_ *feed.Subscription, r feed.Range) { a <- r }

// behind subscribes a peer to a topic of 100 entries, from the one behind at on. The
// log holds the last 10 of them: what else there is has to be asked for.
func behind(t *testing.T, at uint64, opts feed.Options) (p *peer, l *topic.Log, s *feed.Subscription, asked asks) {
	t.Helper()
	l = topic.NewLogAt("e", 0, topic.Limits{Entries: 10})
	fill(l, 1, 100)
	p, asked = newPeer(t), make(asks, 10)
	opts.Topic, opts.Older = "t", asked.older
	s = feed.Subscribe(p.client, l, at, opts)
	s.Start()
	return p, l, s, asked
}

// TestWhatTheLogLostIsSupplied: pages that go beyond what was asked for, and
// beyond what the log gave meanwhile, neither double anything nor lose any.
func TestWhatTheLogLostIsSupplied(t *testing.T) {
	p, l, s, asked := behind(t, 0, feed.Options{Events: true})
	r := arpctest.Receive(t, asked, "what is missing")
	if want := (feed.Range{Epoch: "e", UpTo: 90}); r != want {
		t.Fatalf("asked for %+v, want %+v", r, want)
	}
	fill(l, 101, 200)
	s.Supply(r, "e", entries(1, 50)) // not all of it
	r = arpctest.Receive(t, asked, "the rest")
	if r.After != 50 {
		t.Fatalf("asked for what is behind %d", r.After)
	}
	s.Supply(r, "e", entries(40, 200)) // more than it
	r = arpctest.Receive(t, asked, "what was lost meanwhile")
	s.Supply(r, "e", entries(r.After+1, 200))
	p.expect(numbers(1, 200)...)
	fill(l, 201, 201)
	p.expect("201")
	if _, at := s.Position(); at != 201 {
		t.Errorf("at %d", at)
	}
}

// TestWhatIsGoneIsTold once, with how much it is.
func TestWhatIsGoneIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		supplied []topic.Entry
		gap      string
		from     uint64 // the first behind it
	}{
		"all of it":                      {nil, "gap 90 missed 85", 91},
		"but what is behind it":          {entries(91, 95), "gap 90 missed 85", 91},
		"what is before it is of no use": {entries(1, 3), "gap 90 missed 85", 91},
		"some of it":                     {entries(80, 90), "gap 79 missed 74", 80},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, s, asked := behind(t, 5, feed.Options{Events: true})
			s.Supply(arpctest.Receive(t, asked, "what is missing"), "e", c.supplied)
			p.expect(c.gap)
			p.expect(numbers(c.from, 100)...)
		})
	}
}

// TestWhatIsSuppliedLate, for a place where the subscription is not any more, or of
// another life of the topic, is nothing to it.
func TestWhatIsSuppliedLate(t *testing.T) {
	old := topic.NewLogAt("old", 0, topic.Limits{Entries: 10})
	fill(old, 1, 100)
	p, asked := newPeer(t), make(asks, 10)
	s := feed.Subscribe(p.client, old, 0, feed.Options{Topic: "t", Events: true, Older: asked.older})
	s.Start()
	first := arpctest.Receive(t, asked, "what is missing")
	s.Supply(first, "new", entries(1, 100)) // the broker has another epoch already

	next := topic.NewLogAt("new", 0, topic.Limits{Entries: 10})
	fill(next, 1, 50)
	s.Follow(next, 3)
	p.expect("epoch 3")
	second := arpctest.Receive(t, asked, "what the new one is missing")
	s.Supply(first, "old", entries(1, 100))
	s.Supply(second, "new", entries(4, 40))
	p.expect(numbers(4, 50)...)
}

// TestFollow: in another log of the same epoch a subscription stays where it is,
// however fast it reads, and goes nowhere without a word.
func TestFollow(t *testing.T) {
	l := topic.NewLogAt("e", 0, topic.Limits{})
	p := newPeer(t)
	s := feed.Subscribe(p.client, l, 0, feed.Options{Topic: "t", Events: true})
	s.Start()
	var want []string
	for range 40 {
		_, last := l.Bounds()
		fill(l, last+1, last+20)
		want = append(want, numbers(last+1, last+20)...)
		again := topic.NewLogAt("e", 0, topic.Limits{})
		fill(again, 1, last+20)
		s.Follow(again, 0)
		l = again
	}
	p.expect(want...)

	shorter := topic.NewLogAt("e", 10, topic.Limits{})
	s.Follow(shorter, 10)
	fill(shorter, 11, 11)
	p.expect("epoch 10", "11")
}

// TestSkips: what is not for a client is one word before what comes next.
func TestSkips(t *testing.T) {
	l := topic.NewLogAt("e", 0, topic.Limits{})
	p := newPeer(t)
	hidden := func(tag any) bool { return tag == "hidden" }
	s := feed.Subscribe(p.client, l, 0, feed.Options{Topic: "t", Events: true, Hides: hidden})
	for n := range uint64(5) {
		l.Append(entry(n+1, "hidden"))
	}
	l.Append(entry(6, nil))
	l.Append(entry(7, "hidden"))
	s.Start()
	p.expect("skip 5", "6")
	arpctest.Eventually(t, "the end", func() bool { _, at := s.Position(); return at == 7 })
	l.Append(entry(8, nil))
	p.expect("skip 7", "8")
}

// TestLatest: of those that wait the newest comes, and nobody is asked for others.
func TestLatest(t *testing.T) {
	p, _, _, asked := behind(t, 5, feed.Options{Events: true, Latest: true})
	p.expect("skip 99", "100")
	if len(asked) > 0 {
		t.Errorf("asked for %+v", <-asked)
	}
}

// TestEnd: nothing comes behind the last word, also of what was there before and
// of what was asked for.
func TestEnd(t *testing.T) {
	word := feed.Event{Topic: "t", Event: feed.Ended}.Frame()
	for name, events := range map[string]bool{"told": true, "not told": false} {
		t.Run(name, func(t *testing.T) {
			p, l, s, asked := behind(t, 0, feed.Options{Events: events})
			r := arpctest.Receive(t, asked, "what is missing")
			s.End(word)
			s.Supply(r, "e", entries(1, 100))
			fill(l, 101, 110)
			s.Start()
			if events {
				p.expect("ended 0")
			}
			if err := p.client.Notify("/mark", "mark", arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			p.expect("mark")
		})
	}
}

// TestPlace is the table of where a subscription begins.
func TestPlace(t *testing.T) {
	at := func(epoch string, offset uint64) feed.Request { return feed.Request{Epoch: &epoch, Offset: &offset} }
	held := feed.State{Epoch: "e", First: 4, Last: 8}
	none := feed.State{Epoch: "e", Last: 8}
	for name, c := range map[string]struct {
		request feed.Request
		state   feed.State
		want    string
	}{
		"now":                    {feed.Request{}, held, "8 true"},
		"last":                   {feed.Request{Last: 2}, held, "6 true"},
		"more than held":         {feed.Request{Last: 1 << 63}, held, "3 true"},
		"last of nothing":        {feed.Request{Last: 2}, none, "8 true"},
		"since":                  {at("e", 5), held, "5 true"},
		"since the edge":         {at("e", 3), held, "3 true"},
		"since what is gone":     {at("e", 2), held, "3 false from 4"},
		"since, nothing held":    {at("e", 2), none, "8 false"},
		"since the newest":       {at("e", 8), none, "8 true"},
		"since the future":       {at("e", 9), held, "8 false from 4"},
		"another life":           {at("f", 5), held, "3 false from 4"},
		"another life, and none": {at("f", 5), none, "8 false"},
	} {
		a := c.request.Place(c.state)
		got := fmt.Sprint(a.Offset, " ", a.Recovered)
		if a.From > 0 {
			got += fmt.Sprint(" from ", a.From)
		}
		if got != c.want || a.Last != 8 || a.Epoch != "e" {
			t.Errorf("%s: %s, last %d; want %s", name, got, a.Last, c.want)
		}
	}
	half := feed.Request{Epoch: new(string)}
	if err := half.Check(); arpc.CodeOf(err) != arpc.CodeInvalidArgument {
		t.Errorf("half a position: %v", err)
	}
}

// TestManyReadOneLog: each gets everything, in order, whoever is slow.
func TestManyReadOneLog(t *testing.T) {
	l := topic.NewLogAt("e", 0, topic.Limits{})
	var peers []*peer
	for range 10 {
		p := newPeer(t)
		feed.Subscribe(p.client, l, 0, feed.Options{Topic: "t"}).Start()
		peers = append(peers, p)
	}
	fill(l, 1, 5000)
	for _, p := range slices.Backward(peers) {
		p.expect(strings.Fields(strings.Join(numbers(1, 5000), " "))...)
	}
}

// TestTheLatestThatTheLogDoesNotHold is asked for, and nothing before it.
func TestTheLatestThatTheLogDoesNotHold(t *testing.T) {
	l := topic.NewLogAt("e", 100, topic.Limits{Entries: 10})
	p, asked := newPeer(t), make(asks, 10)
	s := feed.Subscribe(p.client, l, 5, feed.Options{Topic: "t", Events: true, Latest: true, Older: asked.older})
	s.Start()
	r := arpctest.Receive(t, asked, "the latest")
	if want := (feed.Range{Epoch: "e", After: 99, UpTo: 100}); r != want {
		t.Fatalf("asked for %+v, want %+v", r, want)
	}
	s.Supply(r, "e", entries(100, 100))
	p.expect("skip 99", "100")
}
