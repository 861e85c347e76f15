package bolt

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func closeBroker(t *testing.T, b *Broker) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, b *Broker, name string) broker.State {
	t.Helper()
	s, err := b.State(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func kept(l topic.Limits) broker.Settings { return broker.Settings{Retention: l, Keep: true} }

func text(s string, settings broker.Settings) broker.Append {
	return broker.Append{Topic: "t", Frame: brokertest.Frame(s), Settings: settings}
}

// TestRestart: a topic that clients followed is there after a restart, and
// forgotten if they do not come back.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path)
	s := brokertest.Settings // which keep nothing that nobody follows
	_, cancel, err := b.Subscribe(t.Context(), "t", s, &ordered{t: t})
	if err != nil {
		t.Fatal(err)
	}
	before := put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Origin: 7 << 40, Key: "k", Settings: s})
	cancel()
	closeBroker(t, b)

	b = openBroker(t, path)
	if got, want := state(t, b, "t"), (broker.State{Epoch: before.Epoch, First: 1, Last: 1}); got != want {
		t.Errorf("after a restart: %+v, want %+v", got, want)
	}
	page, err := b.Read(t.Context(), "t", broker.Query{Entries: 10, Bytes: 1000})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Origin != 7<<40 {
		t.Errorf("read: %+v, %v", page, err)
	}
	if again := put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Key: "k", Settings: s}); again != before {
		t.Errorf("the key gives %v, want %v", again, before)
	}
	if next := put(t, b, text("2", s)); next.Epoch != before.Epoch || next.Offset != 2 {
		t.Errorf("the next is at %v", next)
	}
	closeBroker(t, b)

	b = openBroker(t, path, Linger(0))
	arpctest.Eventually(t, "forgotten", func() bool { return b.Topics() == 0 })
	onCommitter(t, b, func() {}) // behind the sweep
	closeBroker(t, b)
	found, err := inspect(path)
	if err != nil || len(found.topics) != 0 {
		t.Errorf("in the file: %+v, %v", found, err)
	}
}

// TestEmptyTopicSurvives: also one that nothing was published in keeps its epoch.
func TestEmptyTopicSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path)
	before, _, err := b.Subscribe(t.Context(), "t", brokertest.Settings, &ordered{t: t})
	if err != nil {
		t.Fatal(err)
	}
	closeBroker(t, b)
	b = openBroker(t, path)
	if got := state(t, b, "t"); got != before {
		t.Errorf("before %+v, after %+v", before, got)
	}
}

// TestAgeAfterRestart: what is too old goes from the file though nobody publishes.
func TestAgeAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path)
	s := kept(topic.Limits{Age: 100 * time.Millisecond})
	s.Keys, s.MaxKeys = 100*time.Millisecond, 100
	for i := range 20 {
		put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("old"), Key: fmt.Sprint(i), Settings: s})
	}
	closeBroker(t, b)
	b = openBroker(t, path)
	arpctest.Eventually(t, "empty", func() bool { return state(t, b, "t").First == 0 })
	if got := state(t, b, "t"); got.Last != 20 {
		t.Errorf("state %+v", got)
	}
	arpctest.Eventually(t, "the file is", func() bool {
		empty := false
		onCommitter(t, b, func() { empty = b.all()[0].floor == 21 && len(b.all()[0].keys.order) == 0 })
		return empty
	})
	closeBroker(t, b)
	records := 0
	visitFile(t, path, func(bucket string) {
		if bucket != "about" && bucket != "heads" {
			records++
		}
	})
	if records != 0 {
		t.Errorf("%d records are left", records)
	}
}

// visitFile calls f with the bucket of every record.
func visitFile(t *testing.T, path string, f func(bucket string)) {
	t.Helper()
	file, size := openRaw(t, path)
	if _, err := scan(file, size, func(bucket, _, _ []byte) error { f(string(bucket)); return nil }); err != nil {
		t.Error(err)
	}
}

// TestRetentionOnDisk: what a topic does not hold is not in the file for long,
// and its room is used again.
func TestRetentionOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path, NeverSync())
	s := kept(topic.Limits{Entries: 500})
	s.Keys, s.MaxKeys = time.Hour, 300
	frame := string(make([]byte, 1000))
	const rounds, each = 40, 1000
	for round := range rounds {
		waiting := make(chan told, each)
		for i := range each {
			b.Append(broker.Append{Topic: "t", Frame: brokertest.Frame(frame), Key: fmt.Sprint(round, i), Settings: s},
				func(at broker.Position, err error) { waiting <- told{at, err} })
		}
		for range each {
			if got := <-waiting; got.err != nil {
				t.Fatal(got.err)
			}
		}
	}
	used, free := int64(0), int64(0)
	onCommitter(t, b, func() { used, free = b.file.usage() })
	if size := used + free; size > 16<<20 {
		t.Errorf("%d bytes of file for half a megabyte held of %d MB", size, rounds)
	}
	closeBroker(t, b)
	count := map[string]int{}
	visitFile(t, path, func(bucket string) { count[bucket]++ })
	if count["log"] < 500 || count["log"] > 500+sweepAt || count["once"] != 300 {
		t.Errorf("records: %v", count)
	}
}

// TestMaxBytes: a full file refuses publishers until retention has made room.
func TestMaxBytes(t *testing.T) {
	b := openBroker(t, filepath.Join(t.TempDir(), "topics.db"), MaxBytes(2<<20))
	frame := string(make([]byte, 10_000))
	all := kept(topic.Limits{})
	var got told
	n := 0
	for ; got.err == nil && n < 1000; n++ {
		got = try(b, text(frame, all))
	}
	if arpc.CodeOf(got.err) != arpc.CodeResourceExhausted {
		t.Fatalf("after %d publications: %v", n, got.err)
	}
	if held := state(t, b, "t"); held.Last != uint64(n-1) {
		t.Errorf("state %+v after %d", held, n)
	}
	// The settings come with a subscription: who publishes is refused.
	_, cancel, err := b.Subscribe(t.Context(), "t", kept(topic.Limits{Entries: 3}), &ordered{t: t})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	untilTaken(t, b, text("there is room", kept(topic.Limits{Entries: 3})))
}

// TestQueue: more than fits in the queue is refused, and what is in it is not lost.
func TestQueue(t *testing.T) {
	b := openBroker(t, filepath.Join(t.TempDir(), "topics.db"), Queue(10, 1<<20))
	busy, free := make(chan struct{}), make(chan struct{})
	go func() { _ = b.call(t.Context(), func() { close(busy); <-free }) }()
	<-busy
	waiting := make(chan told, 11)
	for range 11 {
		b.Append(text("1", killSettings), func(at broker.Position, err error) { waiting <- told{at, err} })
	}
	if got := <-waiting; arpc.CodeOf(got.err) != arpc.CodeResourceExhausted {
		t.Errorf("the one too many: %v, %v", got.at, got.err)
	}
	close(free)
	for i := range uint64(10) {
		if got := <-waiting; got.err != nil || got.at.Offset != i+1 {
			t.Errorf("one that waited: %v, %v", got.at, got.err)
		}
	}
}

func TestMaxTopics(t *testing.T) {
	b := openBroker(t, filepath.Join(t.TempDir(), "topics.db"), MaxTopics(1))
	put(t, b, text("1", killSettings))
	other := text("1", killSettings)
	other.Topic = "other"
	if got := try(b, other); arpc.CodeOf(got.err) != arpc.CodeResourceExhausted {
		t.Errorf("publishing to a topic too many: %v, %v", got.at, got.err)
	}
	if _, _, err := b.Subscribe(t.Context(), "other", killSettings, &ordered{t: t}); arpc.CodeOf(err) != arpc.CodeResourceExhausted {
		t.Errorf("subscribing to it: %v", err)
	}
}
