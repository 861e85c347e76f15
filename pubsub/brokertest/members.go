package brokertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

func (b *bench) enter(m broker.Member, holder string) {
	b.Helper()
	if err := b.broker.Enter(b.Context(), "t", m, holder); err != nil {
		b.Fatalf("enter: %v", err)
	}
}

func (b *bench) leave(id, holder string) {
	b.Helper()
	if err := b.broker.Leave(b.Context(), "t", id, holder); err != nil {
		b.Fatalf("leave: %v", err)
	}
}

// members are those of the topic, as "id user info since".
func (b *bench) members() (got []string, version uint64) {
	b.Helper()
	roster, err := b.broker.Members(b.Context(), "t")
	if err != nil {
		b.Fatalf("members: %v", err)
	}
	got = []string{}
	for _, m := range roster.Members {
		got = append(got, describe(m))
	}
	slices.Sort(got)
	return got, roster.Version
}

func describe(m broker.Member) string {
	return fmt.Sprint(m.ID, " ", m.User, " ", string(m.Info), " ", m.Since)
}

// told are the changes that a node was told of, as they were.
func (n *node) told() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := []string{}
	for _, c := range n.changes {
		verb := "came"
		if c.Left {
			verb = "left"
		}
		got = append(got, fmt.Sprintf("%d %s %s", c.Version, verb, describe(c.Member)))
	}
	return got
}

func testMembers(t *testing.T, b *bench) {
	one, other := b.follow("t", Settings), b.follow("t", Settings)
	ada := broker.Member{ID: "a", User: "ada", Info: json.RawMessage(`{"n":1}`), Since: 100}
	bob := broker.Member{ID: "b", Since: 200}
	b.enter(ada, "h1")
	b.enter(bob, "h2")
	b.enter(bob, "h2") // nothing changed
	renewed := ada
	renewed.Info, renewed.Since = json.RawMessage(`{"n":2}`), 300
	b.enter(renewed, "h1")
	b.leave("nobody", "h1")
	b.leave("b", "h2")
	want := []string{
		`1 came a ada {"n":1} 100`,
		`2 came b   200`,
		`3 came a ada {"n":2} 100`,
		`4 left b   200`,
	}
	for name, n := range map[string]*node{"one": one, "other": other} {
		b.eventually(name, func() bool { return len(n.told()) >= len(want) })
		b.equal(name, n.told(), want)
	}
	got, version := b.members()
	b.equal("members", got, []string{`a ada {"n":2} 100`})
	if version != 4 {
		t.Errorf("version %d", version)
	}
}

func testHolder(t *testing.T, b *bench) {
	n := b.follow("t", Settings)
	ada := broker.Member{ID: "a", Since: 100}
	b.enter(ada, "before")
	b.enter(ada, "after") // it reconnected
	b.leave("a", "before")
	got, version := b.members()
	b.equal("members", got, []string{"a   100"})
	if version != 1 {
		t.Errorf("a reconnect made noise: version %d, %q", version, n.told())
	}
	b.leave("a", "after")
	if got, version = b.members(); len(got) != 0 || version != 2 {
		t.Errorf("in the end: %q, version %d", got, version)
	}
}

func testSendToOne(t *testing.T, b *bench) {
	nobody := b.broker.SendToOne(t.Context(), "t", Frame("to nobody"))
	if !errors.Is(nobody, broker.ErrNobody) {
		t.Errorf("to nobody: %v", nobody)
	}
	nodes := []*node{b.follow("t", Settings), b.follow("t", Settings), b.follow("t", Settings)}
	send := func(count int) {
		t.Helper()
		for i := range count {
			if err := b.broker.SendToOne(t.Context(), "t", Frame(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	taken := func() (counts []int) {
		for _, n := range nodes {
			n.mu.Lock()
			counts = append(counts, len(n.taken))
			n.mu.Unlock()
		}
		return counts
	}
	send(30)
	b.eventually("in turn", func() bool { return slices.Equal(taken(), []int{10, 10, 10}) })
	nodes[1].mu.Lock()
	nodes[1].refuses = true
	nodes[1].mu.Unlock()
	send(30)
	b.eventually("who takes it", func() bool {
		counts := taken()
		return counts[1] == 10 && counts[0]+counts[2] == 50 && min(counts[0], counts[2]) > 10
	})
	for _, n := range nodes {
		n.mu.Lock()
		n.refuses = true
		n.mu.Unlock()
	}
	if err := b.broker.SendToOne(t.Context(), "t", Frame("refused")); !errors.Is(err, broker.ErrNobody) {
		t.Errorf("to those who refuse: %v", err)
	}
	for i, n := range nodes {
		if n.count() != 0 {
			t.Errorf("node %d has entries %q", i, n.texts())
		}
	}
}
