package bolt

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

const (
	compactEvery = 3 * time.Second // it is looked whether to
	compactAt    = 16 << 20        // unused bytes at least
	// What is written meanwhile is kept in memory and written to the new file
	// too. If that is more than this at once, compacting is given up.
	journalMost = 256 << 20
	// If it is less than this the committer writes it, and the new file is
	// complete.
	journalFew = 1 << 20
)

// compaction copies the file while it is written on.
type compaction struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the copy is nearly complete, or failed
	told   []chan error  // who waits for the end

	// Set before done is closed.
	db  *database
	err error
}

func (c *compaction) finished() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.done
}

// abandon ends a compaction and waits for that.
func (c *compaction) abandon() {
	if c == nil {
		return
	}
	c.cancel()
	<-c.done
	if c.err == nil {
		c.err = discard(c.db, context.Canceled)
	}
	c.tell()
}

func (c *compaction) tell() {
	for _, told := range c.told {
		told <- c.err
	}
}

// Compact makes the file as small as what it holds, and waits for it. It is done
// without being asked when more than half of the file is unused. Publishers and
// readers go on; it takes the room of a second file for a moment.
func (b *Broker) Compact(ctx context.Context) error {
	told := make(chan error, 1)
	err := b.call(ctx, func() {
		if b.committer.compact == nil {
			b.committer.startCompaction()
		}
		b.committer.compact.told = append(b.committer.compact.told, told)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startCompaction begins to copy the file as it is now.
func (c *committer) startCompaction() {
	ctx, cancel := context.WithCancel(context.Background())
	p := &compaction{cancel: cancel, done: make(chan struct{})}
	c.compact = p
	f := c.broker.file
	heads, about := c.heads(), c.broker.about(false)
	tx, err := f.db.Begin(false)
	if err != nil {
		p.err = err
		close(p.done)
		return
	}
	j := &journal{}
	f.journal = j
	go p.run(ctx, f, tx, heads, about, j)
}

func (c *compaction) run(ctx context.Context, f *file, tx *bbolt.Tx, heads snapshot, about change, j *journal) {
	defer close(c.done)
	c.err = guarded(func() (err error) {
		c.db, err = f.copyTo(ctx, tx, f.path+compactedSuffix, heads, about)
		return err
	})
	_ = tx.Rollback() // it only read
	if c.err == nil {
		c.err = c.catchUp(ctx, j)
	}
}

// catchUp writes what was written to the old file meanwhile, until little is left.
func (c *compaction) catchUp(ctx context.Context, j *journal) error {
	for {
		changes, err := j.take(journalFew)
		if err == nil && changes == nil {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = guarded(func() error { return write(c.db, changes) })
		}
		if err != nil {
			return discard(c.db, err)
		}
	}
}

// finishCompaction puts the new file in place.
func (c *committer) finishCompaction() {
	p, f := c.compact, c.broker.file
	c.compact = nil
	j := f.journal
	f.journal = nil
	if p.err == nil {
		p.err = p.complete(f, j)
	}
	if p.err != nil {
		c.broker.cfg.logger.Warn("arpc: compact the file of the topics", "file", f.path, "error", p.err)
	}
	p.tell()
}

func (c *compaction) complete(f *file, j *journal) error {
	changes, err := j.take(0)
	if err == nil {
		err = guarded(func() error { return write(c.db, changes) })
	}
	if err == nil {
		err = c.db.Sync()
	}
	if err == nil {
		err = f.replace(c.db)
	}
	if err != nil {
		return discard(c.db, err)
	}
	return nil
}

// journal is what was written while the file is copied.
type journal struct {
	mu      sync.Mutex // guards what follows
	changes []change
	bytes   int
	lost    bool // there was too much
}

var errJournal = errors.New("more was written meanwhile than could be kept")

func (j *journal) add(changes []change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost {
		return
	}
	for _, c := range changes {
		j.bytes += len(c.key) + len(c.value)
	}
	j.changes = append(j.changes, changes...)
	if j.bytes > journalMost {
		j.changes, j.lost = nil, true
	}
}

// take returns what came since the last time, unless it is less than few.
func (j *journal) take(few int) ([]change, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lost {
		return nil, errJournal
	}
	if j.bytes < few {
		return nil, nil
	}
	changes := j.changes
	j.changes, j.bytes = nil, 0
	return changes, nil
}
