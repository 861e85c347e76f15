package drive

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// caller takes a fixed time for a call, or fails.
type caller struct {
	takes time.Duration
	err   error
}

func (c caller) Call() error {
	time.Sleep(c.takes)
	return c.err
}

func (caller) Close() error { return nil }

func TestCallersKeepCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := caller{takes: 10 * time.Millisecond}
		outcome, err := Callers([]Caller{c, c}, 5, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Calls != 2*5*100 || outcome.Seconds != 1 {
			t.Errorf("%d calls in %v s, want 1000 in 1", outcome.Calls, outcome.Seconds)
		}
		if outcome.P50 < 9_900 || outcome.P50 > 10_100 {
			t.Errorf("median of %v µs, want 10,000", outcome.P50)
		}
	})
}

func TestAFailedCallFailsTheRun(t *testing.T) {
	failure := errors.New("refused")
	if _, err := Callers([]Caller{caller{err: failure}}, 2, time.Second); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestSteadyMakesTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := caller{takes: time.Millisecond}
		outcome, err := Steady([]Caller{c, c}, 10, 5000, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Calls != 5000 {
			t.Errorf("%d calls in a second, want 5000", outcome.Calls)
		}
	})
}

// A contender that stalls must not hide the calls that had to wait for it.
func TestSteadyCountsWhatWaitedForALateCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := caller{takes: 30 * time.Millisecond} // one is due every 10 ms
		outcome, err := Steady([]Caller{c}, 1, 100, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if outcome.Calls != 100 || outcome.P99 < 1_900_000 {
			t.Errorf("%d calls, p99 %v µs: the last waited 2 s", outcome.Calls, outcome.P99)
		}
	})
}

// pipe gives back what was flushed, in order.
type pipe struct {
	kept, flushed, most int
}

func (p *pipe) Send() error {
	p.kept++
	p.most = max(p.most, p.kept+p.flushed)
	return nil
}

func (p *pipe) Flush() error {
	p.flushed, p.kept = p.flushed+p.kept, 0
	return nil
}

func (p *pipe) Receive() error {
	time.Sleep(time.Millisecond)
	if p.flushed--; p.flushed < 0 {
		return errors.New("waits for what was never flushed")
	}
	return nil
}

func (p *pipe) Buffered() bool { return p.flushed > 0 }
func (p *pipe) Close() error   { return nil }

func TestWindowIsKeptAndDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pipe
		outcome, err := Windows([]Pipe{&p}, 10, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if p.most != 10 || p.kept != 0 || p.flushed != 0 {
			t.Errorf("at most %d in flight, want 10; %d are left", p.most, p.kept+p.flushed)
		}
		if outcome.Calls < 1000 || outcome.Calls > 1010 {
			t.Errorf("%d messages, want 1000 and the last window", outcome.Calls)
		}
	})
}
