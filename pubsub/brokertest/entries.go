package brokertest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func testDelivery(t *testing.T, b *bench) {
	one, other := b.follow("t", Settings), b.follow("t", Settings)
	epoch := one.state.Epoch
	if epoch == "" || other.state.Epoch != epoch || one.state.Last != 0 || one.state.First != 0 {
		t.Fatalf("states of an empty topic: %+v, %+v", one.state, other.state)
	}
	for i := 1; i <= 50; i++ {
		p := b.put(broker.Append{Topic: "t", Frame: Frame(fmt.Sprint(i)), Origin: uint64(i) << 40, Settings: Settings})
		if p != (broker.Position{Epoch: epoch, Offset: uint64(i)}) {
			t.Fatalf("position %+v of entry %d, epoch %s", p, i, epoch)
		}
	}
	for name, n := range map[string]*node{"one": one, "other": other} {
		b.eventually(name, func() bool { return n.count() == 50 })
		b.equal(name, n.texts(), numbered(1, 50))
		for i, e := range n.entries {
			if e.Origin != uint64(i+1)<<40 {
				t.Errorf("%s: origin %x of entry %d", name, e.Origin, i+1)
			}
		}
	}
	late := b.follow("t", Settings)
	if late.state != (broker.State{Epoch: epoch, First: 1, Last: 50}) {
		t.Errorf("state for who comes late: %+v", late.state)
	}
	b.append("t", "51", Settings)
	b.eventually("late", func() bool { return late.count() == 1 })
	b.equal("late", late.texts(), numbered(51, 51))
}

func testNobodyFollows(t *testing.T, b *bench) {
	if p := b.append("t", "to nobody", Settings); p != (broker.Position{}) {
		t.Errorf("position %+v in a topic that does not exist", p)
	}
	if s := b.state("t"); s != (broker.State{}) {
		t.Errorf("it has the state %+v", s)
	}
	if page := b.read("t", all); page.State != (broker.State{}) || len(page.Entries) != 0 {
		t.Errorf("and the entries %+v", page)
	}
	roster, err := b.broker.Members(t.Context(), "t")
	if err != nil || len(roster.Members) != 0 {
		t.Errorf("and the members %+v, %v", roster, err)
	}
}

func testKeep(t *testing.T, b *bench) {
	first := b.append("t", "1", kept(Settings))
	second := b.append("t", "2", kept(Settings))
	if first.Epoch == "" || first.Offset != 1 || second != (broker.Position{Epoch: first.Epoch, Offset: 2}) {
		t.Fatalf("positions %+v, %+v", first, second)
	}
	n := b.follow("t", kept(Settings))
	if n.state != (broker.State{Epoch: first.Epoch, First: 1, Last: 2}) {
		t.Errorf("state %+v", n.state)
	}
	n.end()
	b.append("t", "3", kept(Settings))
	b.equal("held", texts(b.read("t", all).Entries), numbered(1, 3))
}

func testRead(t *testing.T, b *bench) {
	for i := 1; i <= 10; i++ {
		b.append("t", fmt.Sprint(i), kept(Settings))
	}
	size := len(Frame("1"))
	for name, c := range map[string]struct {
		q        broker.Query
		from, to int
	}{
		"all":                    {all, 1, 10},
		"after":                  {broker.Query{After: 4, Entries: 100, Bytes: 1000}, 5, 10},
		"after the last":         {broker.Query{After: 10, Entries: 100, Bytes: 1000}, 1, 0},
		"after what is to come":  {broker.Query{After: 1 << 60, Entries: 100, Bytes: 1000}, 1, 0},
		"before":                 {broker.Query{Before: 4, Entries: 100, Bytes: 1000}, 1, 3},
		"before the first":       {broker.Query{Before: 1, Entries: 100, Bytes: 1000}, 1, 0},
		"before what is to come": {broker.Query{Before: 1 << 60, Entries: 100, Bytes: 1000}, 1, 10},
		"between":                {broker.Query{After: 3, Before: 6, Entries: 100, Bytes: 1000}, 4, 5},
		"nothing between":        {broker.Query{After: 3, Before: 4, Entries: 100, Bytes: 1000}, 1, 0},
		"the first of them":      {broker.Query{After: 3, Entries: 2, Bytes: 1000}, 4, 5},
		"the newest":             {broker.Query{Newest: true, Entries: 3, Bytes: 1000}, 8, 10},
		"the newest of some":     {broker.Query{After: 2, Before: 7, Newest: true, Entries: 3, Bytes: 1000}, 4, 6},
		"the newest of few":      {broker.Query{After: 5, Before: 8, Newest: true, Entries: 9, Bytes: 1000}, 6, 7},
		"two by bytes":           {broker.Query{Entries: 100, Bytes: 2 * size}, 1, 2},
		"one byte short":         {broker.Query{Entries: 100, Bytes: 2*size - 1}, 1, 1},
		"one in any case":        {broker.Query{Entries: 100, Bytes: 1}, 1, 1},
		"newest by bytes":        {broker.Query{Before: 10, Newest: true, Entries: 100, Bytes: 2 * size}, 8, 9},
		"newest in any case":     {broker.Query{Newest: true, Entries: 100, Bytes: 1}, 10, 10},
	} {
		page := b.read("t", c.q)
		b.equal(name, texts(page.Entries), numbered(c.from, c.to)[:max(0, c.to-c.from+1)])
		if page.State.First != 1 || page.State.Last != 10 || page.State.Epoch == "" {
			t.Errorf("%s: state %+v", name, page.State)
		}
	}
}

// hold appends numbers and checks which of them are held.
func (b *bench) hold(what string, count int, s broker.Settings, from int) {
	b.Helper()
	for i := 1; i <= count; i++ {
		b.append("t", fmt.Sprint(i), s)
	}
	b.eventually(what, func() bool {
		return b.state("t").First == uint64(from)
	})
	page := b.read("t", all)
	b.equal(what, texts(page.Entries), numbered(from, count))
	if page.State.Last != uint64(count) {
		b.Errorf("%s: state %+v", what, page.State)
	}
	if after := b.read("t", broker.Query{After: uint64(from) / 2, Entries: 1, Bytes: 1000}); after.Entries[0].Offset != uint64(from) {
		b.Errorf("%s: reading from what is gone began at %d", what, after.Entries[0].Offset)
	}
}

func testRetentionEntries(t *testing.T, b *bench) {
	b.hold("ten", 25, broker.Settings{Retention: topic.Limits{Entries: 10}, Keep: true}, 16)
}

func testRetentionBytes(t *testing.T, b *bench) {
	size := len(Frame("11")) // all that are held in the end have two digits
	b.hold("five in bytes", 25, broker.Settings{Retention: topic.Limits{Bytes: 5 * size}, Keep: true}, 21)
}

func testRetentionAge(t *testing.T, b *bench) {
	s := broker.Settings{Retention: topic.Limits{Age: 50 * time.Millisecond}, Keep: true}
	n := b.follow("t", s)
	b.append("t", "1", s)
	b.append("t", "2", s)
	b.eventually("both are too old", func() bool { return b.state("t").First == 0 })
	if page := b.read("t", all); len(page.Entries) != 0 || page.State.Last != 2 || page.State.Epoch != n.state.Epoch {
		t.Errorf("what is left: %+v", page)
	}
	if p := b.append("t", "3", s); p != (broker.Position{Epoch: n.state.Epoch, Offset: 3}) {
		t.Errorf("after them: %+v", p)
	}
}

func testSettingsChange(t *testing.T, b *bench) {
	for i := 1; i <= 20; i++ {
		b.append("t", fmt.Sprint(i), kept(Settings))
	}
	fewer := broker.Settings{Retention: topic.Limits{Entries: 5}, Keep: true}
	b.append("t", "21", fewer)
	b.eventually("fewer are held", func() bool { return b.state("t").First == 17 })
	b.equal("held", texts(b.read("t", all).Entries), numbered(17, 21))
	for i := 22; i <= 30; i++ {
		b.append("t", fmt.Sprint(i), kept(Settings))
	}
	b.equal("more again", texts(b.read("t", all).Entries), numbered(17, 30))
}

func testManyPublishers(t *testing.T, b *bench) {
	const publishers, each = 8, 200
	settings := broker.Settings{Retention: topic.Limits{Entries: publishers * each}}
	n := b.follow("t", settings)
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			told := make([]<-chan appended, each)
			for i := range each {
				told[i] = b.start(broker.Append{Topic: "t", Frame: Frame(fmt.Sprint(p, " ", i)), Settings: settings})
			}
			last := uint64(0)
			for i := range each {
				got := b.await(told[i])
				if got.err != nil || got.position.Offset <= last {
					b.Errorf("publisher %d, entry %d: offset %d after %d, %v", p, i, got.position.Offset, last, got.err)
				}
				last = got.position.Offset
			}
		})
	}
	publishing.Wait()
	b.eventually("all", func() bool { return n.count() == publishers*each })
	var next [publishers]int
	for _, e := range n.entries {
		var p, i int
		if _, err := fmt.Sscan(Text(e.Frame), &p, &i); err != nil || i != next[p] {
			t.Fatalf("offset %d carries %q, want entry %d, %v", e.Offset, Text(e.Frame), next[p], err)
		}
		next[p]++
	}
	b.equal("what is held is what was delivered", texts(b.read("t", all).Entries), n.texts())
}

// testSubscribeRace: whoever subscribes while others publish gets what is behind
// the state it was given, and can read what is before.
func testSubscribeRace(t *testing.T, b *bench) {
	const entries = 500
	settings := kept(broker.Settings{Retention: topic.Limits{Entries: entries}})
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := 1; i <= entries; i++ {
			b.append("t", fmt.Sprint(i), settings)
		}
	})
	var nodes []*node
	for range 20 {
		nodes = append(nodes, b.follow("t", settings))
	}
	publishing.Wait()
	for i, n := range nodes {
		before := int(n.state.Last)
		b.eventually("all behind the state", func() bool { return n.count() == entries-before })
		b.equal(fmt.Sprint("node ", i), n.texts(), numbered(before+1, entries)[:entries-before])
		page := b.read("t", broker.Query{Before: n.state.Last + 1, Entries: entries, Bytes: 1 << 20})
		if before > 0 {
			b.equal(fmt.Sprint("before node ", i), texts(page.Entries), numbered(1, before))
		}
	}
}

func testCancel(t *testing.T, b *bench) {
	stays := b.follow("t", Settings)
	for round := range 50 {
		goes := b.follow("t", Settings)
		var publishing sync.WaitGroup
		publishing.Go(func() { b.append("t", fmt.Sprint(round+1), Settings) })
		goes.end()
		publishing.Wait()
	}
	b.eventually("who stays", func() bool { return stays.count() == 50 })
	b.equal("who stays", stays.texts(), numbered(1, 50))
}

func testNewEpoch(t *testing.T, b *bench) {
	n := b.follow("t", Settings)
	b.append("t", "1", Settings)
	n.end()
	b.eventually("forgotten", func() bool { return b.state("t") == (broker.State{}) })
	again := b.follow("t", Settings)
	if again.state.Epoch == n.state.Epoch || again.state.Epoch == "" || again.state.Last != 0 {
		t.Errorf("first %+v, then %+v", n.state, again.state)
	}
}

func testTopics(t *testing.T, b *bench) {
	one, other := b.follow("one", Settings), b.follow("other", Settings)
	if one.state.Epoch == other.state.Epoch {
		t.Error("two topics have one epoch")
	}
	b.append("one", "1", Settings)
	b.append("other", "1", Settings)
	b.append("one", "2", Settings)
	b.eventually("both", func() bool { return one.count() == 2 && other.count() == 1 })
	b.equal("one", one.texts(), numbered(1, 2))
	b.equal("other", other.texts(), numbered(1, 1))
}

func testClose(t *testing.T, b *bench) {
	n := b.follow("t", Settings)
	if err := b.broker.Close(); err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	got := b.await(b.start(broker.Append{Topic: "t", Frame: Frame("late"), Settings: kept(Settings)}))
	_, readErr := b.broker.Read(t.Context(), "t", all)
	_, stateErr := b.broker.State(t.Context(), "t")
	_, _, subscribeErr := b.broker.Subscribe(t.Context(), "t", Settings, n)
	_, membersErr := b.broker.Members(t.Context(), "t")
	for what, err := range map[string]error{
		"append":    got.err,
		"read":      readErr,
		"state":     stateErr,
		"subscribe": subscribeErr,
		"members":   membersErr,
		"enter":     b.broker.Enter(t.Context(), "t", broker.Member{ID: "m"}, "h"),
		"leave":     b.broker.Leave(t.Context(), "t", "m", "h"),
		"one":       b.broker.SendToOne(t.Context(), "t", Frame("late")),
	} {
		if !errors.Is(err, broker.ErrClosed) {
			t.Errorf("%s after the end: %v", what, err)
		}
	}
}
