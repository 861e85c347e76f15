package audience

import (
	"testing"
	"time"
)

func TestTheWindowMovesWhenAllHaveThePublication(t *testing.T) {
	l := newLedger(2, 20, 3)
	if n := l.order(time.Now()); n != 3 {
		t.Fatalf("ordered %d, want 3", n)
	}
	text := func(number uint64) []byte { return AppendText(nil, number, 20) }
	var first, second uint64
	arrive := func(last *uint64, number uint64) {
		t.Helper()
		var err error
		if *last, err = l.arrived(*last, text(number)); err != nil || *last != number {
			t.Fatalf("last is %d, %v", *last, err)
		}
	}
	arrive(&first, 1)
	arrive(&first, 2)
	if n := l.order(time.Now()); n != 0 {
		t.Errorf("ordered %d before all had one", n)
	}
	arrive(&second, 1)
	if n := l.order(time.Now()); n != 1 || l.ordered != 4 || l.inFlight() != 3 {
		t.Errorf("ordered %d, up to %d", n, l.ordered)
	}
	if o := l.outcome(time.Second); o.Calls != 3 || o.Lost != 0 || l.latencies.Total() != 1 {
		t.Errorf("outcome %+v, %d publications", o, l.latencies.Total())
	}
	l.begin()
	if o := l.outcome(time.Second); o.Calls != 0 || l.inFlight() != 3 {
		t.Errorf("after a beginning %+v, %d in flight", o, l.inFlight())
	}
}

func TestGapsAreLost(t *testing.T) {
	l := newLedger(1, 20, 5)
	l.order(time.Now())
	if last, err := l.arrived(0, AppendText(nil, 4, 20)); err != nil || last != 4 {
		t.Fatal(last, err)
	}
	if o := l.outcome(time.Second); o.Lost != 3 || o.Calls != 1 || l.done != 4 {
		t.Errorf("outcome %+v, done %d, want 3 lost", o, l.done)
	}
}

func TestWhatCannotHaveBeenPublishedEndsTheRun(t *testing.T) {
	for name, text := range map[string][]byte{
		"again":         AppendText(nil, 2, 20),
		"out of order":  AppendText(nil, 1, 20),
		"never ordered": AppendText(nil, 6, 20),
		"cut":           AppendText(nil, 3, 20)[:19],
		"no number":     []byte("xxxxxxxxxxxxxxxxxxxx"),
	} {
		l := newLedger(1, 20, 5)
		l.order(time.Now())
		if _, err := l.arrived(2, text); err == nil {
			t.Errorf("%s was counted", name)
		}
	}
}

func TestTextHasItsNumberAndItsSize(t *testing.T) {
	for number, want := range map[uint64]string{1: "0000000001xx", 9_999_999_999: "9999999999xx"} {
		text := AppendText(nil, number, 12)
		if got, err := numberOf(text); string(text) != want || got != number || err != nil {
			t.Errorf("%d: %q, read as %d, %v", number, text, got, err)
		}
	}
}
