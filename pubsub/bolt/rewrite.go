package bolt

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// A file is written anew, with what topics hold and nothing else, when most of it
// is unused, when it is not sure that the disk has what can be read of it, and
// for a backup.

const compactedSuffix = ".compact"

// snapshot is the topics that a new file is to have, by name.
type snapshot map[string]head

// heads are those of the topics as they were delivered.
func (c *committer) heads() snapshot {
	all := c.broker.all()
	heads := make(snapshot, len(all))
	for _, t := range all {
		heads[t.name] = t.head
	}
	return heads
}

// rewrite replaces the file by a new one with what was delivered. Publishers wait
// for it.
func (c *committer) rewrite() error {
	c.compact.abandon()
	b := c.broker
	c.compact, b.file.journal = nil, nil
	var copied *database
	err := b.file.view(func(tx *bbolt.Tx) (err error) {
		copied, err = b.file.copyTo(context.Background(), tx, b.file.path+compactedSuffix, c.heads(), b.about(false))
		return err
	})
	if err != nil {
		return err
	}
	if err := b.file.replace(copied); err != nil {
		return discard(copied, err)
	}
	c.settle()
	return nil
}

// settle notes that there is nothing in the file that is not held.
func (c *committer) settle() {
	c.garbage, c.forgotten = nil, nil
	for _, t := range c.broker.all() {
		t.floor = t.head.first
	}
}

// discard closes and removes a file that was not completed.
func discard(db *database, why error) error {
	path := db.Path()
	_ = db.Close()
	_ = os.Remove(path)
	return why
}

// copyTo makes a new file with what topics hold in a transaction, synced.
func (f *file) copyTo(ctx context.Context, tx *bbolt.Tx, path string, heads snapshot, about change) (*database, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	db, err := openDB(path, bbolt.Options{NoSync: true, NoGrowSync: true, InitialMmapSize: f.cfg.mapped()})
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	w := &copier{ctx: ctx, to: db, changes: []change{about}}
	err = w.copy(tx, heads)
	if err == nil {
		err = db.Sync()
	}
	if err != nil {
		return nil, discard(db, fmt.Errorf("write %s: %w", path, err))
	}
	db.NoSync, db.NoGrowSync = f.cfg.neverSync, f.cfg.neverSync
	return db, nil
}

// copier writes records to a new file, some at a time.
type copier struct {
	ctx     context.Context
	to      *database
	changes []change
	bytes   int
}

const copyBytes = 4 << 20

func (w *copier) put(c change) error {
	w.changes = append(w.changes, c)
	if w.bytes += len(c.key) + len(c.value); w.bytes < copyBytes {
		return nil
	}
	return w.flush()
}

func (w *copier) flush() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	err := write(w.to, w.changes)
	w.changes, w.bytes = w.changes[:0], 0
	return err
}

func (w *copier) copy(tx *bbolt.Tx, heads snapshot) error {
	for name, h := range heads {
		if err := w.copyTopic(tx, name, h); err != nil {
			return fmt.Errorf("copy topic %q: %w", name, err)
		}
	}
	return w.flush()
}

func (w *copier) copyTopic(tx *bbolt.Tx, name string, h head) error {
	if err := w.put(change{headsBucket, []byte(name), h.record(name)}); err != nil {
		return err
	}
	e := tx.Bucket(entriesBucket)
	for offset := h.first; offset <= h.last; offset++ {
		key := place(h.id, offset)
		value := e.Get(key)
		if _, err := unseal(key, value); err != nil {
			return err
		}
		if err := w.put(change{entriesBucket, key, value}); err != nil {
			return err
		}
	}
	c := tx.Bucket(keysBucket).Cursor()
	from, to := place(h.id, 0), place(h.id, h.last)
	for at, value := c.Seek(from); at != nil && bytes.Compare(at, to) <= 0; at, value = c.Next() {
		if _, err := unseal(at, value); err != nil {
			return err
		}
		if err := w.put(change{keysBucket, at, value}); err != nil {
			return err
		}
	}
	return nil
}
