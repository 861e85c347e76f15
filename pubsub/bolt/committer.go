package bolt

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// committer is the only one that writes the file. What is not said otherwise
// belongs to its goroutine.
type committer struct {
	broker  *Broker
	garbage []places // to be deleted
	// forgotten are topics that are gone while their heads may still be in the
	// file, by name.
	forgotten []string
	failure   error // why nothing can be written; nil if it can
	torn      bool  // the file must be replaced before it is written again
	damaged   bool  // for good
	refusing  time.Duration
	compact   *compaction   // under way, or nil
	checked   time.Time     // when it was last looked whether to compact
	together  int           // how many requests were written last
	took      time.Duration // and how long that took
}

const (
	sweepEvery = 500 * time.Millisecond
	// A transaction takes no more than this, so that those who wait for the
	// next one do not wait for long.
	batchRequests = 4096
	batchBytes    = 8 << 20
	gatherMost    = time.Millisecond
	// After a failure nothing is tried for so long, twice as long each time.
	refuseFirst = 50 * time.Millisecond
	refuseMost  = time.Second
)

func (c *committer) run() {
	b := c.broker
	defer close(b.stopped)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-b.queue.filled:
			c.gather()
			requests, from := b.queue.take(), time.Now()
			c.write(requests)
			c.together, c.took = len(requests), time.Since(from)
		case <-sweep.C:
			c.sweep()
		case call := <-b.calls:
			call()
		case <-c.compact.finished():
			c.finishCompaction()
		case <-b.stop:
			c.write(b.queue.take())
			c.sweep()
			c.compact.abandon()
			return
		}
	}
}

// gather waits for publishers that are likely to come: those that were told last
// publish again as soon as they run, and share a sync if they are waited for. It
// takes no longer than what was written last took, unless the settings say so.
func (c *committer) gather() {
	enough, most := c.together, min(c.took, gatherMost)
	if interval := c.broker.cfg.interval; interval > 0 {
		enough, most = batchRequests, interval
	}
	if enough < 2 {
		return
	}
	wait := time.NewTimer(most)
	defer wait.Stop()
	select {
	case <-c.broker.queue.reaches(enough):
	case <-wait.C:
	case <-c.broker.stop:
	}
}

// write writes requests in as many transactions as they need.
func (c *committer) write(requests []request) {
	for len(requests) > 0 {
		n, bytes := 0, 0
		for n < len(requests) && n < batchRequests && bytes < batchBytes {
			bytes += len(requests[n].Frame)
			n++
		}
		batch := c.broker.newBatch()
		for _, r := range requests[:n] {
			batch.add(r)
		}
		c.commit(batch)
		requests = requests[n:]
	}
}

// commit writes a batch and delivers it, or tells why not.
func (c *committer) commit(b *batch) {
	err := b.plan()
	if err == nil && len(b.changes) == 0 {
		b.deliver() // keys that are known
		return
	}
	if err == nil {
		err = c.ready(b)
	}
	if err == nil {
		err = c.broker.file.apply(b.changes)
		if err != nil && c.broker.file.torn() {
			c.torn = true
		}
	}
	if err != nil {
		b.fail(c.fail(err))
		return
	}
	c.recovered()
	b.deliver()
}

// ready makes sure that a batch may be written.
func (c *committer) ready(b *batch) error {
	if c.torn {
		if err := c.rewrite(); err != nil {
			return fmt.Errorf("replace the file: %w", err)
		}
		c.torn = false
	}
	if len(b.answers) == 0 {
		return nil // it makes room, or takes next to none
	}
	if used, _ := c.broker.file.usage(); used+b.size() > c.broker.cfg.maxBytes {
		return errMaxBytes
	}
	return nil
}

var errMaxBytes = errors.New("the file has the size it may have")

// isFull reports whether a write failed for want of room.
func isFull(err error) bool {
	for _, full := range []error{errMaxBytes, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) { // bbolt does not wrap all
			return true
		}
	}
	return false
}

// fail notes that nothing can be written, and returns what publishers are told.
func (c *committer) fail(err error) error {
	l := c.broker.cfg.logger
	if c.failure == nil {
		l.Error("arpc: topics cannot be written", "file", c.broker.file.path, "error", err)
	}
	c.failure = err
	if errors.Is(err, ErrDamaged) {
		c.damaged = true
		told := arpc.Errorf(arpc.CodeUnavailable, "the topics are damaged")
		c.broker.queue.refuse(told, time.Time{})
		return told
	}
	told := arpc.Errorf(arpc.CodeUnavailable, "the topics cannot be written")
	if isFull(err) {
		told = arpc.Errorf(arpc.CodeResourceExhausted, "there is no room for publications")
	}
	c.refusing = min(max(2*c.refusing, refuseFirst), refuseMost)
	c.broker.queue.refuse(told, time.Now().Add(c.refusing))
	return told
}

func (c *committer) recovered() {
	if c.failure != nil {
		c.broker.cfg.logger.Info("arpc: topics are written again", "file", c.broker.file.path)
	}
	c.failure, c.refusing = nil, 0
}

// failed reports, when the goroutine has ended, whether the file could not be
// written in the end.
func (c *committer) failed() bool { return c.failure != nil }
