package topic_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newLog(limits topic.Limits) (*topic.Log, *clock) {
	c := &clock{now: time.Unix(1_000_000, 0)}
	l := topic.NewLog(limits)
	l.SetClock(c.Now)
	return l, c
}

// add appends a text and returns its offset.
func add(l *topic.Log, text string) uint64 {
	return l.Append(func(uint64) []byte { return []byte(text) })
}

func quiet() {}

// read takes everything that a cursor finds, in pages, as "offset:data".
func read(c *topic.Cursor, page, room int) (got []string, skipped uint64) {
	into := make([]topic.Entry, page)
	for {
		n, gone := c.Next(into, room)
		skipped += gone
		if n == 0 {
			return got, skipped
		}
		for _, e := range into[:n] {
			got = append(got, fmt.Sprintf("%d:%s", e.Offset, e.Data))
		}
	}
}

func TestOffsetsStartAtOneAndAreGivenToTheEncoder(t *testing.T) {
	l := topic.NewLog(topic.Limits{})
	if l.Last() != 0 || !l.Empty() {
		t.Fatalf("new: last %d, empty %v", l.Last(), l.Empty())
	}
	for want := uint64(1); want <= 5; want++ {
		var encoded uint64
		got := l.Append(func(offset uint64) []byte { encoded = offset; return nil })
		if got != want || encoded != want || l.Last() != want {
			t.Errorf("append %d: returned %d, encoded %d, last %d", want, got, encoded, l.Last())
		}
	}
	if l.Empty() {
		t.Error("five entries without data are nothing")
	}
}

func TestEveryLogHasAnEpochOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		e := topic.NewLog(topic.Limits{}).Epoch()
		if len(e) != 16 || seen[e] {
			t.Fatalf("epoch %q, seen before: %v", e, seen[e])
		}
		seen[e] = true
	}
}

func TestWhatIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		limits topic.Limits
		append []string
		kept   string
	}{
		"without limits":       {topic.Limits{}, []string{"a", "b", "c"}, "1:a 2:b 3:c"},
		"entries, at the edge": {topic.Limits{Entries: 3}, []string{"a", "b", "c"}, "1:a 2:b 3:c"},
		"entries, over it":     {topic.Limits{Entries: 3}, []string{"a", "b", "c", "d"}, "2:b 3:c 4:d"},
		"one entry":            {topic.Limits{Entries: 1}, []string{"a", "b", "c"}, "3:c"},
		"bytes, at the edge":   {topic.Limits{Bytes: 6}, []string{"aa", "bb", "cc"}, "1:aa 2:bb 3:cc"},
		"bytes, over it":       {topic.Limits{Bytes: 6}, []string{"aa", "bb", "cc", "d"}, "2:bb 3:cc 4:d"},
		"a large one":          {topic.Limits{Bytes: 6}, []string{"aa", "bb", "ccccc"}, "3:ccccc"},
		"the newest, always":   {topic.Limits{Bytes: 6}, []string{"aa", "bbbbbbb"}, "2:bbbbbbb"},
		"and gone after it":    {topic.Limits{Bytes: 6}, []string{"bbbbbbb", "a"}, "2:a"},
		"empty ones cost none": {topic.Limits{Bytes: 1}, []string{"", "", "a"}, "1: 2: 3:a"},
		"both":                 {topic.Limits{Entries: 3, Bytes: 3}, []string{"a", "a", "bb", "", "c"}, "3:bb 4: 5:c"},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLog(c.limits)
			for _, text := range c.append {
				add(l, text)
			}
			from := l.FollowFrom(0, quiet)
			got, skipped := read(from, 10, 1000)
			if strings.Join(got, " ") != c.kept {
				t.Errorf("kept %q, want %q", got, c.kept)
			}
			if want := len(c.append) - len(got); skipped != uint64(want) {
				t.Errorf("skipped %d, want %d", skipped, want)
			}
		})
	}
}

func TestOldEntriesGoWhenSomebodyLooks(t *testing.T) {
	const age = time.Minute
	start := func() (*topic.Log, *clock, *topic.Cursor) {
		l, c := newLog(topic.Limits{Age: age})
		add(l, "a")
		c.now = c.now.Add(age / 2)
		add(l, "b")
		return l, c, l.FollowFrom(0, quiet)
	}
	t.Run("exactly as old as allowed", func(t *testing.T) {
		_, c, from := start()
		c.now = c.now.Add(age / 2)
		if got, _ := read(from, 10, 1000); !slices.Equal(got, []string{"1:a", "2:b"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("older", func(t *testing.T) {
		_, c, from := start()
		c.now = c.now.Add(age/2 + 1)
		if got, skipped := read(from, 10, 1000); !slices.Equal(got, []string{"2:b"}) || skipped != 1 {
			t.Errorf("got %q, skipped %d", got, skipped)
		}
	})
	t.Run("all of them", func(t *testing.T) {
		l, c, from := start()
		c.now = c.now.Add(2 * age)
		if !l.Empty() || l.Last() != 2 {
			t.Errorf("empty %v, last %d", l.Empty(), l.Last())
		}
		if got, skipped := read(from, 10, 1000); len(got) != 0 || skipped != 2 || from.Position() != 2 {
			t.Errorf("got %q, skipped %d, position %d", got, skipped, from.Position())
		}
		add(l, "c")
		if got, skipped := read(from, 10, 1000); !slices.Equal(got, []string{"3:c"}) || skipped != 0 {
			t.Errorf("after that: %q, skipped %d", got, skipped)
		}
	})
}

// TestAnEncoderThatPanicsLeavesTheLogAsItWas, or every later offset would name
// the entry beside its own.
func TestAnEncoderThatPanicsLeavesTheLogAsItWas(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	add(l, "a")
	func() {
		defer func() { _ = recover() }()
		l.Append(func(uint64) []byte { panic("cannot") })
	}()
	if l.Last() != 1 {
		t.Errorf("last %d", l.Last())
	}
	add(l, "b")
	if got, skipped := read(l.FollowFrom(0, quiet), 10, 1000); !slices.Equal(got, []string{"1:a", "2:b"}) || skipped != 0 {
		t.Errorf("got %q, skipped %d", got, skipped)
	}
}

func TestReadersShareWhatIsStored(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	add(l, "shared")
	var one, other [1]topic.Entry
	l.FollowFrom(0, quiet).Next(one[:], 100)
	l.FollowFrom(0, quiet).Next(other[:], 100)
	if &one[0].Data[0] != &other[0].Data[0] {
		t.Error("two readers have two copies")
	}
}

// TestAppendingCostsTheSameWithALongHistory holds that nothing is copied or
// moved for each append, however much is kept.
func TestAppendingCostsTheSameWithALongHistory(t *testing.T) {
	const appends = 30_000
	cost := func(history int) (allocations, bytes float64) {
		l, _ := newLog(topic.Limits{Entries: history})
		data := []byte("x")
		encode := func(uint64) []byte { return data }
		for range 2 * history {
			l.Append(encode)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range appends {
			l.Append(encode)
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / appends, float64(after.TotalAlloc-before.TotalAlloc) / appends
	}
	shortAllocations, shortBytes := cost(10)
	longAllocations, longBytes := cost(10_000)
	if longAllocations > shortAllocations+0.01 {
		t.Errorf("%.3f allocations an append with 10,000 entries, %.3f with 10", longAllocations, shortAllocations)
	}
	// The slice grows by a quarter at a time, so each entry is copied four
	// times before it goes; copying all of them would be 560,000 bytes.
	if longBytes > 1024 {
		t.Errorf("%.0f bytes an append with 10,000 entries, %.0f with 10", longBytes, shortBytes)
	}
}

// TestWhatIsGoneIsNotHeld: an entry that is dropped is not kept alive by the
// place it had.
func TestWhatIsGoneIsNotHeld(t *testing.T) {
	l, _ := newLog(topic.Limits{Entries: 2})
	freed := make(chan struct{})
	func() {
		data := make([]byte, 1<<20)
		runtime.AddCleanup(&data[0], func(c chan struct{}) { close(c) }, freed)
		l.Append(func(uint64) []byte { return data })
	}()
	add(l, "a")
	add(l, "b")
	for end := time.Now().Add(10 * time.Second); ; {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(l)
			return
		case <-time.After(time.Millisecond):
			if time.Now().After(end) {
				t.Fatal("the log holds data that it dropped")
			}
		}
	}
}
