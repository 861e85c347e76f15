package topic_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/topic"
)

func TestWhereACursorStarts(t *testing.T) {
	l, _ := newLog(topic.Limits{Entries: 3})
	for i := range 5 {
		add(l, fmt.Sprint(i+1))
	}
	for name, c := range map[string]struct {
		cursor  *topic.Cursor
		got     []string
		skipped uint64
	}{
		"follow":                 {l.Follow(quiet), nil, 0},
		"from the start":         {l.FollowFrom(0, quiet), []string{"3:3", "4:4", "5:5"}, 2},
		"from a dropped one":     {l.FollowFrom(1, quiet), []string{"3:3", "4:4", "5:5"}, 1},
		"from the last dropped":  {l.FollowFrom(2, quiet), []string{"3:3", "4:4", "5:5"}, 0},
		"from one that is held":  {l.FollowFrom(4, quiet), []string{"5:5"}, 0},
		"from the newest":        {l.FollowFrom(5, quiet), nil, 0},
		"from what is not there": {l.FollowFrom(1<<64-1, quiet), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, skipped := read(c.cursor, 10, 1000)
			if !slices.Equal(got, c.got) || skipped != c.skipped {
				t.Errorf("got %q, skipped %d; want %q, %d", got, skipped, c.got, c.skipped)
			}
			if c.cursor.Position() != 5 {
				t.Errorf("position %d", c.cursor.Position())
			}
		})
	}
}

func TestAPageIsBoundedInEntriesAndBytes(t *testing.T) {
	for name, c := range map[string]struct {
		page, room int
		first      int // entries in the first page
	}{
		"entries":                      {2, 1000, 2},
		"all":                          {10, 1000, 5},
		"bytes, at the edge":           {10, 6, 3},
		"bytes, one short":             {10, 5, 2},
		"the first though it is large": {10, 1, 1},
		"the first without any room":   {10, 0, 1},
		"room below zero":              {10, -5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := newLog(topic.Limits{})
			want := []string{"1:aa", "2:aa", "3:aa", "4:aa", "5:aa"}
			for range want {
				add(l, "aa")
			}
			cursor := l.FollowFrom(0, quiet)
			if n, _, _ := cursor.Next(make([]topic.Entry, c.page), c.room); n != c.first || cursor.Position() != uint64(n) {
				t.Errorf("first page of %d, position %d; want %d", n, cursor.Position(), c.first)
			}
			if got, skipped := read(l.FollowFrom(0, quiet), c.page, c.room); !slices.Equal(got, want) || skipped != 0 {
				t.Errorf("in pages: %q, skipped %d", got, skipped)
			}
		})
	}
}

func TestACursorIsWokenOnceAfterItFoundNothing(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	woken := 0
	c := l.Follow(topic.WakeFunc(func() { woken++ }))
	expect := func(when string, want int) {
		t.Helper()
		if woken != want {
			t.Fatalf("%s: woken %d times, want %d", when, woken, want)
		}
	}
	page := make([]topic.Entry, 1)
	add(l, "a")
	add(l, "b")
	expect("before it looked", 0)
	c.Next(page, 100)
	add(l, "c")
	expect("after it found some of it", 0)
	read(c, 1, 100)
	c.Next(page, 100) // finding nothing is one registration
	c.Next(page, 100)
	add(l, "d")
	expect("after it found all of it", 1)
	add(l, "e")
	expect("before it looked again", 1)
	read(c, 10, 100)
	add(l, "f")
	expect("after it found all of it again", 2)
}

func TestWhatIsPokedLooksAgain(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	woken := 0
	c := l.Follow(topic.WakeFunc(func() { woken++ }))
	page := make([]topic.Entry, 1)
	c.Poke()
	c.Poke()
	if n, _, more := c.Next(page, 100); n != 0 || !more || woken != 0 {
		t.Errorf("before it waits: %d entries, more %v, woken %d times", n, more, woken)
	}
	if _, _, more := c.Next(page, 100); more {
		t.Error("one look was not enough")
	}
	c.Poke()
	if woken != 1 {
		t.Errorf("while it waits: woken %d times", woken)
	}
	add(l, "a")
	if woken != 1 {
		t.Error("it was woken and is woken again")
	}
	c.Close()
	c.Poke()
	if n, _, more := c.Next(page, 100); n != 0 || more || woken != 1 {
		t.Errorf("closed: %d entries, more %v, woken %d times", n, more, woken)
	}
}

func TestSkippingLeavesTheNewest(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	c := l.Follow(quiet)
	c.SkipToNewest()
	for i := range 5 {
		add(l, fmt.Sprint(i+1))
	}
	c.SkipToNewest()
	if got, skipped := read(c, 10, 100); !slices.Equal(got, []string{"5:5"}) || skipped != 0 {
		t.Errorf("got %q, skipped %d", got, skipped)
	}
	c.SkipToNewest()
	if got, _ := read(c, 10, 100); got != nil {
		t.Errorf("it went back: %q", got)
	}
}

func TestWhatIsParkedWaitsForThePoke(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	woken := 0
	c := l.Follow(topic.WakeFunc(func() { woken++ }))
	read(c, 10, 100)
	if !c.Park() {
		t.Error("it was not poked, and looks again")
	}
	add(l, "a")
	if woken != 0 {
		t.Error("an entry woke it")
	}
	c.Poke()
	c.Poke()
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
	if c.Park() {
		t.Error("it was poked twice, and looked once")
	}
	if !c.Park() || !c.Close() || c.Close() {
		t.Error("it waited, and then it did not")
	}
}

// TestThoseWhoWaitMayBeWokenTogether in one call, by whoever appends.
func TestThoseWhoWaitMayBeWokenTogether(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	var calls []int
	l.WakeTogether(func(all []topic.Reader) {
		calls = append(calls, len(all))
		for _, r := range all {
			r.Wake()
		}
	})
	woken := 0
	for range 3 {
		read(l.Follow(topic.WakeFunc(func() { woken++ })), 10, 100)
	}
	add(l, "a")
	add(l, "b")
	if !slices.Equal(calls, []int{3}) || woken != 3 {
		t.Errorf("calls %v, woken %d", calls, woken)
	}
}

func TestAClosedCursorFindsNothingAndIsNotWoken(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	add(l, "a")
	woken := map[string]int{}
	cursors := map[string]*topic.Cursor{}
	for _, name := range []string{"first", "middle", "last", "not waiting"} {
		cursors[name] = l.FollowFrom(0, topic.WakeFunc(func() { woken[name]++ }))
		if name != "not waiting" {
			read(cursors[name], 10, 100)
		}
	}
	cursors["middle"].Close()
	cursors["middle"].Close() // twice is no harm
	cursors["not waiting"].Close()
	add(l, "b")
	if fmt.Sprint(woken) != "map[first:1 last:1]" {
		t.Errorf("woken %v", woken)
	}
	for _, name := range []string{"middle", "not waiting"} {
		if got, skipped := read(cursors[name], 10, 100); got != nil || skipped != 0 {
			t.Errorf("%s: found %q, skipped %d", name, got, skipped)
		}
	}
	add(l, "c")
	if woken["middle"]+woken["not waiting"] != 0 {
		t.Errorf("woken %v", woken)
	}
	if got, _ := read(cursors["last"], 10, 100); !slices.Equal(got, []string{"2:b", "3:c"}) {
		t.Errorf("the others: %q", got)
	}
}

func TestWaitingCursorsMayCloseInAnyOrder(t *testing.T) {
	const n = 6
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		l, _ := newLog(topic.Limits{})
		var woken, want [n]int
		var cursors [n]*topic.Cursor
		for i := range cursors {
			cursors[i] = l.Follow(topic.WakeFunc(func() { woken[i]++ }))
			read(cursors[i], 10, 100)
			want[i] = 1
		}
		for _, i := range random.Perm(n)[:random.IntN(n)] {
			cursors[i].Close()
			want[i] = 0
		}
		add(l, "x")
		if woken != want {
			t.Fatalf("seed %d: woken %v, want %v", seed, woken, want)
		}
	}
}

// TestWakeMayUseTheLog: it runs without the log's lock.
func TestWakeMayUseTheLog(t *testing.T) {
	l, _ := newLog(topic.Limits{})
	var got []string
	var c *topic.Cursor
	c = l.Follow(topic.WakeFunc(func() {
		if _, last := l.Bounds(); last == 1 {
			add(l, "from the wake")
		}
		more, _ := read(c, 10, 100)
		got = append(got, more...)
	}))
	read(c, 10, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		add(l, "a")
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("wake was called under the lock")
	}
	if !slices.Equal(got, []string{"1:a", "2:from the wake"}) {
		t.Errorf("got %q", got)
	}
}

// TestNoWakeIsLost: readers that sleep until they are woken see every entry,
// in order, whoever appends meanwhile, and are never woken twice.
func TestNoWakeIsLost(t *testing.T) {
	const appenders, readers, each = 4, 8, 2000
	l := topic.NewLog(topic.Limits{})
	failed := make(chan string, readers)
	var reading, appending sync.WaitGroup
	for i := range readers {
		wake := make(chan struct{}, 1)
		c := l.Follow(topic.WakeFunc(func() {
			select {
			case wake <- struct{}{}:
			default:
				failed <- "woken twice"
			}
		}))
		reading.Go(func() {
			into := make([]topic.Entry, 1+i)
			for next := uint64(1); next <= appenders*each; {
				n, skipped, more := c.Next(into, 1<<20)
				for _, e := range into[:n] {
					if e.Offset != next || skipped != 0 {
						failed <- fmt.Sprintf("reader %d got %d, want %d, skipped %d", i, e.Offset, next, skipped)
						return
					}
					next++
				}
				if more || next > appenders*each {
					continue
				}
				select {
				case <-wake:
				case <-time.After(10 * time.Second):
					failed <- fmt.Sprintf("reader %d asleep before %d", i, next)
					return
				}
			}
		})
	}
	for range appenders {
		appending.Go(func() {
			for range each {
				add(l, "x")
			}
		})
	}
	appending.Wait()
	reading.Wait()
	select {
	case why := <-failed:
		t.Error(why)
	default:
	}
}

// TestNobodyIsWokenAfterClose but by an Append that was under way.
func TestNobodyIsWokenAfterClose(t *testing.T) {
	l := topic.NewLog(topic.Limits{Entries: 10})
	for round := range 2000 {
		var woken atomic.Int64
		c := l.Follow(topic.WakeFunc(func() { woken.Add(1) }))
		read(c, 10, 100)
		var appending sync.WaitGroup
		appending.Go(func() { add(l, "x") })
		c.Close()
		appending.Wait()
		before := woken.Load()
		add(l, "y")
		if after := woken.Load(); before > 1 || after != before {
			t.Fatalf("round %d: woken %d times, and %d after that", round, before, after-before)
		}
	}
}
