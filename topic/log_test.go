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
	return l.Append(topic.Entry{Data: []byte(text)})
}

var quiet = topic.WakeFunc(func() {})

// read takes everything that a cursor finds, in pages, as "offset:data".
func read(c *topic.Cursor, page, room int) (got []string, skipped uint64) {
	into := make([]topic.Entry, page)
	for {
		n, gone, more := c.Next(into, room)
		skipped += gone
		for _, e := range into[:n] {
			got = append(got, fmt.Sprintf("%d:%s", e.Offset, e.Data))
		}
		if !more {
			return got, skipped
		}
	}
}

func TestOffsetsStartAtOne(t *testing.T) {
	l := topic.NewLog(topic.Limits{})
	if first, last := l.Bounds(); first != 0 || last != 0 {
		t.Fatalf("new: %d to %d", first, last)
	}
	for want := uint64(1); want <= 50; want++ {
		got := l.Append(topic.Entry{Offset: 1000})
		if first, last := l.Bounds(); got != want || first != 1 || last != want {
			t.Errorf("append %d: returned %d, holds %d to %d", want, got, first, last)
		}
	}
}

func TestALogMayGoOnWhereAnotherStopped(t *testing.T) {
	l := topic.NewLogAt("epoch", 41, topic.Limits{})
	early := l.FollowFrom(7, quiet)
	if first, last := l.Bounds(); first != 0 || last != 41 || l.Epoch() != "epoch" {
		t.Errorf("holds %d to %d of %s", first, last, l.Epoch())
	}
	add(l, "a")
	if got, skipped := read(early, 10, 1000); !slices.Equal(got, []string{"42:a"}) || skipped != 34 {
		t.Errorf("got %q, skipped %d", got, skipped)
	}
	if first, last := l.Bounds(); first != 42 || last != 42 {
		t.Errorf("then it holds %d to %d", first, last)
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
		if first, last := l.Bounds(); first != 0 || last != 2 {
			t.Errorf("holds %d to %d", first, last)
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
		entry := topic.Entry{Data: []byte("x")}
		for range 2 * history {
			l.Append(entry)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range appends {
			l.Append(entry)
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / appends, float64(after.TotalAlloc-before.TotalAlloc) / appends
	}
	shortAllocations, shortBytes := cost(10)
	longAllocations, longBytes := cost(10_000)
	if longAllocations > shortAllocations+0.01 {
		t.Errorf("%.3f allocations an append with 10,000 entries, %.3f with 10", longAllocations, shortAllocations)
	}
	if longBytes > shortBytes+1 {
		t.Errorf("%.1f bytes an append with 10,000 entries, %.1f with 10", longBytes, shortBytes)
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
		l.Append(topic.Entry{Data: data})
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

// TestLimitsMayChange: what was appended without a limit of age is as old as the
// limit, or it would go at once or never.
func TestLimitsMayChange(t *testing.T) {
	l, clock := newLog(topic.Limits{})
	for i := range 10 {
		add(l, fmt.Sprint(i+1))
	}
	l.SetLimits(topic.Limits{Entries: 3})
	if got, _ := read(l.FollowFrom(0, quiet), 10, 1000); !slices.Equal(got, []string{"8:8", "9:9", "10:10"}) {
		t.Errorf("with room for three: %q", got)
	}
	l.SetLimits(topic.Limits{Age: time.Minute})
	if first, _ := l.Bounds(); first != 8 {
		t.Errorf("those from before the limit of their age: holds from %d", first)
	}
	if at := l.Expires(); !at.Equal(clock.now.Add(time.Minute)) {
		t.Errorf("they expire at %v, now is %v", at, clock.now)
	}
	clock.now = clock.now.Add(time.Hour)
	if first, _ := l.Bounds(); first != 0 {
		t.Errorf("an hour later: holds from %d", first)
	}
}

func TestWhenTheNewestIsTooOld(t *testing.T) {
	l, clock := newLog(topic.Limits{Age: time.Minute})
	if at := l.Expires(); !at.IsZero() {
		t.Errorf("empty: %v", at)
	}
	add(l, "a")
	clock.now = clock.now.Add(time.Second)
	add(l, "b")
	if at := l.Expires(); !at.Equal(clock.now.Add(time.Minute)) {
		t.Errorf("%v, now is %v", at, clock.now)
	}
	l.SetLimits(topic.Limits{})
	if at := l.Expires(); !at.IsZero() {
		t.Errorf("without a limit: %v", at)
	}
}

func TestWeightCountsAsBytes(t *testing.T) {
	l, _ := newLog(topic.Limits{Bytes: 10})
	for range 3 {
		l.Append(topic.Entry{Data: []byte("x"), Weight: 3})
	}
	if first, last := l.Bounds(); first != 2 || last != 3 {
		t.Errorf("holds %d to %d", first, last)
	}
}
