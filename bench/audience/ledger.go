package audience

import (
	"fmt"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/control"
	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

// numberLen is how many digits each text begins with: its number, the first is 1.
const numberLen = 10

// AppendText appends the text of a publication of a number of bytes.
func AppendText(dst []byte, number uint64, size int) []byte {
	start := len(dst)
	dst = fmt.Appendf(dst, "%0*d", numberLen, number)
	for len(dst)-start < size {
		dst = append(dst, 'x')
	}
	return dst
}

func numberOf(text []byte) (number uint64, err error) {
	for _, digit := range text[:numberLen] {
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("text %q has no number", text)
		}
		number = 10*number + uint64(digit-'0')
	}
	return number, nil
}

// ledger knows who has which publication.
type ledger struct {
	subscribers, size int

	ordered uint64 // number of the last publication that was ordered
	done    uint64 // and of the last that all subscribers have; they are done in order
	slots   []slot // of those in flight, by number

	deliveries, lost int64
	latencies        drive.Histogram
}

type slot struct {
	at      time.Time // when it was ordered
	missing int       // who does not have it
}

func newLedger(subscribers, size, window int) ledger {
	return ledger{subscribers: subscribers, size: size, slots: make([]slot, window)}
}

// begin forgets what was counted.
func (l *ledger) begin() {
	l.deliveries, l.lost, l.latencies = 0, 0, drive.Histogram{}
}

func (l *ledger) inFlight() int { return int(l.ordered - l.done) }

func (l *ledger) slot(number uint64) *slot { return &l.slots[number%uint64(len(l.slots))] }

// order fills the window and returns how many publications that takes.
func (l *ledger) order(now time.Time) (n int) {
	for l.inFlight() < len(l.slots) {
		l.ordered++
		*l.slot(l.ordered) = slot{at: now, missing: l.subscribers}
		n++
	}
	return n
}

// arrived counts a delivery to a subscriber whose last one is known, and
// returns its number. Those in between are lost.
func (l *ledger) arrived(last uint64, text []byte) (uint64, error) {
	if len(text) != l.size {
		return last, fmt.Errorf("text of %d bytes, want %d", len(text), l.size)
	}
	number, err := numberOf(text)
	if err != nil {
		return last, err
	}
	if number <= last || number > l.ordered {
		return last, fmt.Errorf("publication %d came after %d, and %d were ordered", number, last, l.ordered)
	}
	l.lose(last, number-1)
	l.deliveries++
	l.settle(number)
	return number, nil
}

// lose counts those behind last, up to a number, as lost for one subscriber.
func (l *ledger) lose(last, upTo uint64) {
	for number := last + 1; number <= upTo; number++ {
		l.lost++
		l.settle(number)
	}
}

// settle says that one subscriber waits for a publication no more.
func (l *ledger) settle(number uint64) {
	s := l.slot(number)
	if s.missing--; s.missing == 0 {
		l.done = number
		l.latencies.Record(time.Since(s.at))
	}
}

func (l *ledger) outcome(took time.Duration) control.Outcome {
	return control.Outcome{
		Calls:   l.deliveries,
		Lost:    l.lost,
		Seconds: took.Seconds(),
		P50:     l.latencies.Microseconds(0.5),
		P99:     l.latencies.Microseconds(0.99),
		P999:    l.latencies.Microseconds(0.999),
	}
}
