package bolt

import (
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// request is something to be written.
type request struct {
	broker.Append                              // without a frame it is about the settings alone
	done          func(broker.Position, error) // nil without a frame
}

// queue is what waits for the committer. It is safe for concurrent use.
type queue struct {
	maxEntries, maxBytes int
	filled               chan struct{} // has one element if there may be something

	mu      sync.Mutex // guards what follows
	waiting []request
	spare   []request // to be used for those that come next
	bytes   int
	refusal error         // what everybody is told
	until   time.Time     // for so long, for ever if zero
	enough  int           // when so many wait, reached is closed
	reached chan struct{} // nil if nobody waits for that
}

func newQueue(cfg *config) *queue {
	return &queue{maxEntries: cfg.queueEntries, maxBytes: cfg.queueBytes, filled: make(chan struct{}, 1)}
}

// put adds a request with a frame, unless it is refused.
func (q *queue) put(r request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refusal != nil {
		if q.until.IsZero() || time.Now().Before(q.until) {
			return q.refusal
		}
		q.refusal = nil
	}
	if len(q.waiting) >= q.maxEntries || q.bytes+len(r.Frame) > q.maxBytes && q.bytes > 0 {
		return arpc.Errorf(arpc.CodeResourceExhausted,
			"%d publications of %d bytes wait to be written, limits %d and %d", len(q.waiting), q.bytes, q.maxEntries, q.maxBytes)
	}
	q.addLocked(r)
	return nil
}

// touch adds one without a frame, which nobody waits for.
func (q *queue) touch(topic string, s broker.Settings) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(request{Append: broker.Append{Topic: topic, Settings: s}})
}

func (q *queue) addLocked(r request) {
	q.waiting = append(q.waiting, r)
	q.bytes += len(r.Frame)
	if q.reached != nil && len(q.waiting) >= q.enough {
		close(q.reached)
		q.reached = nil
	}
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// reaches returns a channel that is closed when so many requests wait.
func (q *queue) reaches(enough int) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	reached := make(chan struct{})
	if len(q.waiting) >= enough {
		close(reached)
		return reached
	}
	q.enough, q.reached = enough, reached
	return reached
}

// take returns what waits. It is valid until the next call.
func (q *queue) take() []request {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.reached = nil
	clear(q.spare)
	q.waiting, q.spare, q.bytes = q.spare[:0], taken, 0
	return taken
}

// refuse answers err to all who come before a time, for ever if it is zero. The
// first one that is for ever stays.
func (q *queue) refuse(err error, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refusal == nil || !q.until.IsZero() {
		q.refusal, q.until = err, until
	}
}
