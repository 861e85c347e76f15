package bolt

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// Backup writes what topics hold now to a new file, while everything goes on.
// Its topics have epochs of their own: publications that came after the backup
// are not in it, and clients that saw them are told when it is put in place. A
// mere copy of the file keeps the epochs and would give offsets away twice; one
// that was made while the file was open is damaged as well.
func (b *Broker) Backup(ctx context.Context, path string) error {
	var (
		heads snapshot
		about change
		tx    *bbolt.Tx
		begun error
	)
	err := b.call(ctx, func() {
		heads, about = b.committer.heads(), b.about(false)
		tx, begun = b.file.db.Begin(false)
	})
	if err = errors.Join(err, begun); err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	for name, h := range heads {
		h.epoch = newEpoch()
		heads[name] = h
	}
	var copied *database
	err = guarded(func() (err error) {
		copied, err = b.file.copyTo(ctx, tx, path, heads, about)
		return err
	})
	_ = tx.Rollback() // it only read
	if err == nil {
		err = errors.Join(copied.Close(), syncFolder(path))
	}
	if err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	return nil
}

// call has the committer do something, and waits for it.
func (b *Broker) call(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case b.calls <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-b.stopped:
		return broker.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
