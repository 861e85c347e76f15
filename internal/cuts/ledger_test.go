package cuts_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// A ledger is what the ends of some sessions asked, did and were told. Every
// request has an id of its own, and what is to stay in order is numbered.
type ledger struct {
	// trust ends when something is wrong: nobody waits any more then.
	trust context.Context
	lose  context.CancelFunc

	mu sync.Mutex // guards what follows
	account
	hanging map[string]func()
}

// An account is what a ledger is about. The account of another process can be
// added to it.
type account struct {
	Asked    map[string]bool
	Ran      map[string]int
	Answered int
	Said     map[string]int // how many of each series were sent
	Heard    map[string]int // and came, in order
	Lost     int
	Doubled  int
	Wrong    []string // what else is wrong
}

func newLedger() *ledger {
	trust, lose := context.WithCancel(context.Background())
	return &ledger{
		trust: trust, lose: lose,
		account: account{Asked: map[string]bool{}, Ran: map[string]int{}, Said: map[string]int{}, Heard: map[string]int{}},
		hanging: map[string]func(){},
	}
}

// add adds the account of another process.
func (l *ledger) add(other account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range other.Asked {
		if l.Asked[id] {
			l.complainLocked("%s is no id of its own", id)
		}
		l.Asked[id] = true
	}
	for id, n := range other.Ran {
		l.Ran[id] += n
	}
	for series, n := range other.Said {
		l.Said[series] += n
	}
	for series, n := range other.Heard {
		l.Heard[series] += n
	}
	l.Answered += other.Answered
	l.Lost += other.Lost
	l.Doubled += other.Doubled
	l.Wrong = append(l.Wrong, other.Wrong...)
}

// complain writes down what is wrong, the first hundred times.
func (l *ledger) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complainLocked(format, args...)
}

func (l *ledger) complainLocked(format string, args ...any) {
	l.lose()
	if len(l.Wrong) < 100 {
		l.Wrong = append(l.Wrong, fmt.Sprintf(format, args...))
	}
}

// failed reports whether anything is wrong so far.
func (l *ledger) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.Wrong) > 0
}

// ask writes down that a request will be sent.
func (l *ledger) ask(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Asked[id] {
		l.complainLocked("%s is no id of its own", id)
	}
	l.Asked[id] = true
}

// handle writes down that a request is handled.
func (l *ledger) handle(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Ran[id]++
	if l.Ran[id] > 1 {
		l.Doubled++
		l.complainLocked("%s is handled again", id)
	}
}

// answer writes down how a request ended for who asked.
func (l *ledger) answer(id, want, got string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Answered++
	switch {
	case err != nil:
		l.Lost++
		l.complainLocked("%s failed: %v", id, err)
	case got != want:
		l.complainLocked("%s was answered with %.60q, want %.60q", id, got, want)
	}
}

// say is the next number of a series, as text.
func (l *ledger) say(series string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Said[series]++
	return series + " " + strconv.Itoa(l.Said[series])
}

// hear takes what say made.
func (l *ledger) hear(text string) {
	i := strings.LastIndexByte(text, ' ')
	n, err := strconv.Atoi(text[i+1:])
	if i < 0 || err != nil {
		l.complain("nobody said %.60q", text)
		return
	}
	series := text[:i]
	l.mu.Lock()
	defer l.mu.Unlock()
	switch last := l.Heard[series]; {
	case n <= last:
		l.Doubled++
		l.complainLocked("%s after %d", text, last)
	case n > last+1:
		l.Lost += n - last - 1
		l.complainLocked("%s after %d", text, last)
	}
	l.Heard[series] = max(l.Heard[series], n)
}

// awaitHang has f called when the request of an id hangs.
func (l *ledger) awaitHang(id string, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hanging[id] = f
}

// hangs takes that the request of an id hangs, which is told once.
func (l *ledger) hangs(id string) {
	l.mu.Lock()
	f := l.hanging[id]
	delete(l.hanging, id)
	l.mu.Unlock()
	if f == nil {
		l.complain("%s hangs, which nobody asked, or again", id)
		return
	}
	f()
}

// allHeard reports whether everything that was said was heard.
func (l *ledger) allHeard() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for series, n := range l.Said {
		if l.Heard[series] < n {
			return false
		}
	}
	return true
}

// sum are the figures of a ledger.
type sum struct{ calls, notes, chunks, lost, doubled int }

// settle waits until all is heard, and says what is wrong.
func (l *ledger) settle() (sum, []string) {
	if !arpctest.Within(arpctest.Wait, l.allHeard) {
		l.complain("not everything that was said was heard")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := sum{calls: len(l.Asked), lost: l.Lost, doubled: l.Doubled}
	for series, n := range l.Said {
		if strings.HasSuffix(series, " note") {
			s.notes += n
		} else {
			s.chunks += n
		}
		if l.Heard[series] < n {
			s.lost += n - l.Heard[series]
			l.complainLocked("of %s only %d of %d were heard", series, l.Heard[series], n)
		}
	}
	for id := range l.Ran {
		if !l.Asked[id] {
			l.complainLocked("%s was handled, which nobody asked", id)
		}
	}
	for id := range l.Asked {
		if l.Ran[id] == 0 {
			s.lost++
			l.complainLocked("%s was never handled", id)
		}
	}
	if l.Answered != len(l.Asked) {
		l.complainLocked("%d answers of %d requests", l.Answered, len(l.Asked))
	}
	return s, l.Wrong
}

// TestLedgerSeesWhatIsWrong: each thing that the tests here are about.
func TestLedgerSeesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		act           func(*ledger)
		lost, doubled int
		wrong         bool
	}{
		"nothing": {act: func(l *ledger) {
			l.ask("a")
			l.handle("a")
			l.answer("a", "x", "x", nil)
			l.hear(l.say("s"))
			l.hear(l.say("s"))
		}},
		"a request handled twice": {
			act:     func(l *ledger) { l.ask("a"); l.handle("a"); l.handle("a"); l.answer("a", "", "", nil) },
			doubled: 1, wrong: true,
		},
		"a request never handled":   {act: func(l *ledger) { l.ask("a"); l.answer("a", "", "", nil) }, lost: 1, wrong: true},
		"a request without answer":  {act: func(l *ledger) { l.ask("a"); l.handle("a") }, wrong: true},
		"a call that failed":        {act: func(l *ledger) { l.ask("a"); l.handle("a"); l.answer("a", "", "", errFailed) }, lost: 1, wrong: true},
		"another answer":            {act: func(l *ledger) { l.ask("a"); l.handle("a"); l.answer("a", "x", "y", nil) }, wrong: true},
		"two answers":               {act: func(l *ledger) { l.ask("a"); l.handle("a"); l.answer("a", "", "", nil); l.answer("a", "", "", nil) }, wrong: true},
		"a request from nowhere":    {act: func(l *ledger) { l.handle("a") }, wrong: true},
		"a number twice":            {act: func(l *ledger) { n := l.say("s"); l.hear(n); l.hear(n) }, doubled: 1, wrong: true},
		"a number left out":         {act: func(l *ledger) { l.say("s"); l.hear(l.say("s")) }, lost: 1, wrong: true},
		"numbers in another order":  {act: func(l *ledger) { a, b := l.say("s"), l.say("s"); l.hear(b); l.hear(a) }, lost: 1, doubled: 1, wrong: true},
		"numbers of two who say it": {act: func(l *ledger) { a, b := l.say("s"), l.say("t"); l.hear(b); l.hear(a) }},
	} {
		l := newLedger()
		c.act(l)
		got, wrong := l.settle()
		if got.lost != c.lost || got.doubled != c.doubled || len(wrong) > 0 != c.wrong {
			t.Errorf("%s: lost %d, doubled %d, %q", name, got.lost, got.doubled, wrong)
		}
	}
}
