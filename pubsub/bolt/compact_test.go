package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func openRaw(t *testing.T, path string) (*os.File, int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	_, size := openRaw(t, path)
	return size
}

// TestCompact: publishers and readers go on while the file is compacted, nothing
// is lost, and the file is small then.
func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path)
	large := string(make([]byte, 100_000))
	for range 300 {
		put(t, b, broker.Append{Topic: "large", Frame: brokertest.Frame(large), Settings: kept(topic.Limits{Entries: 10})})
		put(t, b, broker.Append{Topic: "larger", Frame: brokertest.Frame(large), Settings: kept(topic.Limits{})})
	}
	put(t, b, broker.Append{Topic: "larger", Frame: brokertest.Frame("small"), Key: "k", Settings: brokertestKept(topic.Limits{Entries: 1})})
	before := sizeOf(t, path)

	follower := &ordered{t: t}
	if _, _, err := b.Subscribe(t.Context(), "t", killSettings, follower); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var working sync.WaitGroup
	var acked atomic.Int64
	for range 8 {
		working.Go(func() {
			for !stop.Load() {
				put(t, b, text("while it is compacted", killSettings))
				acked.Add(1)
			}
		})
	}
	working.Go(func() {
		for !stop.Load() {
			if n := len(readAll(t, b, "large")) - 1; n != 10 {
				t.Errorf("%d entries are read", n)
				return
			}
		}
	})
	for range 5 {
		some := acked.Load()
		if err := b.Compact(t.Context()); err != nil {
			t.Error(err)
		}
		arpctest.Eventually(t, "publishers go on", func() bool { return acked.Load() > some })
	}
	stop.Store(true)
	working.Wait()
	if after := sizeOf(t, path); after > before/2 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	check := func() {
		t.Helper()
		if held := state(t, b, "t"); held.Last != uint64(acked.Load()) || held.First != 1 {
			t.Errorf("%+v, %d were acknowledged", held, acked.Load())
		}
		if n := len(readAll(t, b, "t")) - 1; n != int(acked.Load()) {
			t.Errorf("%d entries of %d", n, acked.Load())
		}
		if held := state(t, b, "larger"); held.First != 301 || held.Last != 301 {
			t.Errorf("larger: %+v", held)
		}
		again := put(t, b, broker.Append{Topic: "larger", Frame: brokertest.Frame("again"), Key: "k", Settings: brokertestKept(topic.Limits{Entries: 1})})
		if again.Offset != 301 {
			t.Errorf("the key gives %v", again)
		}
	}
	check()
	closeBroker(t, b)
	b = openBroker(t, path)
	check()
	if left, err := filepath.Glob(path + compactedSuffix); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

func brokertestKept(l topic.Limits) broker.Settings {
	s := brokertest.Settings
	s.Retention, s.Keep = l, true
	return s
}

// TestCompactItself: a file that is mostly unused is compacted without being asked.
func TestCompactItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path, NeverSync())
	large := string(make([]byte, 1<<20))
	for range 40 {
		put(t, b, text(large, kept(topic.Limits{})))
	}
	put(t, b, text("small", kept(topic.Limits{Entries: 1})))
	arpctest.Eventually(t, "compacted", func() bool { return sizeOf(t, path) < 20<<20 })
	if got := readAll(t, b, "t"); len(got) != 2 || got[1].Payload != "small" {
		t.Errorf("held: %v", got)
	}
}

// TestCloseWhileCompacting: the end does not wait for the copy.
func TestCloseWhileCompacting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path)
	for i := range 50 {
		put(t, b, text(fmt.Sprint(i), killSettings))
	}
	told := make(chan error, 1)
	onCommitter(t, b, func() {
		b.committer.startCompaction()
		b.committer.compact.told = append(b.committer.compact.told, told)
	})
	closeBroker(t, b)
	if err := <-told; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := filepath.Glob(path + compactedSuffix); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	b = openBroker(t, path)
	if n := len(readAll(t, b, "t")) - 1; n != 50 {
		t.Errorf("%d entries", n)
	}
}

// TestBackup: a backup has what was there, in epochs of its own.
func TestBackup(t *testing.T) {
	folder := t.TempDir()
	b := openBroker(t, filepath.Join(folder, "topics.db"))
	for i := range 100 {
		put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame(fmt.Sprint(i)), Key: fmt.Sprint(i), Settings: killSettings})
	}
	saved := filepath.Join(folder, "backup.db")
	if err := b.Backup(t.Context(), saved); err != nil {
		t.Fatal(err)
	}
	put(t, b, text("later", killSettings))

	again := openBroker(t, saved)
	before, after := readAll(t, b, "t")[1:], readAll(t, again, "t")[1:]
	if len(after) != 100 || len(before) != 101 {
		t.Fatalf("%d entries, %d in the backup", len(before), len(after))
	}
	for i, e := range after {
		if e.Payload != before[i].Payload || e.Offset != before[i].Offset || e.Epoch == before[i].Epoch {
			t.Fatalf("%v, in the backup %v", before[i], e)
		}
	}
	key := put(t, again, broker.Append{Topic: "t", Frame: brokertest.Frame("again"), Key: "7", Settings: killSettings})
	if key.Epoch != after[0].Epoch || key.Offset != 8 {
		t.Errorf("a key gives %v", key)
	}
	if next := put(t, again, text("next", killSettings)); next.Offset != 101 {
		t.Errorf("the next in the backup is at %v", next)
	}
}
