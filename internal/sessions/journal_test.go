package sessions_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

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
			park(t, s)
			p, w := d.ask(t, "", s.ticket, c.received)
			if c.resumed != w.resumed() || !c.resumed && !w.notResumed("gap") {
				t.Fatalf("received %d: %v", c.received, w)
			}
			if !c.resumed {
				arpctest.Eventually(t, "the end of the session", func() bool { return d.ended.Load() == 1 })
				return
			}
			for n := c.received; n < notes; n++ {
				if f := p.read(); len(f.Body) != 100+int(n) {
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
	park(t, s)
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
		if f := s.read(); f.Body != fmt.Sprint(n, body) {
			t.Errorf("%d: sent was %.40q", n, f.Body)
		}
	}
	s.confirm(s.received)
	if f := s.read(); f.Body != "waited" {
		t.Errorf("after it came %.40q", f.Body)
	}
	if err := arpctest.Receive(t, waiting, "the notify that waited"); err != nil {
		t.Error(err)
	}
}
