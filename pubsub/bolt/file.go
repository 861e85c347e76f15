package bolt

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// ErrDamaged is what Open returns, wrapped, for a file that is not what was
// written. Put a backup in its place, or move it away, or open it with
// StartOver.
var ErrDamaged = errors.New("the file is damaged")

// file is the one file. Reading is safe for concurrent use; everything else is
// the committer's.
type file struct {
	path string
	cfg  *config

	mu sync.RWMutex // held while db is used by others than the committer; guards its replacement
	db *database

	txid    int            // of what was written last
	journal *journal       // of what is written while the file is compacted, or nil
	closing sync.WaitGroup // files that were replaced and are still read
}

// change is one record to be written: a value, or nil to delete it.
type change struct {
	bucket     []byte
	key, value []byte
}

// lockWait is how long Open waits for who has the file; less than a second.
const lockWait = 500 * time.Millisecond

// mapped is how much address space is taken for a file at once, so that it need
// not be mapped anew, for which readers and the writer wait for each other.
func (c *config) mapped() int {
	if strconv.IntSize == 32 || runtime.GOOS == "windows" { // there it would be the size of the file
		return 0
	}
	return int(min(2*max(c.maxBytes, 0), 1<<36))
}

// database is a file that bbolt has open.
type database struct {
	*bbolt.DB
	opened *os.File
}

// openDB opens a file with bbolt. A panic inside leaves nothing open.
func openDB(path string, o bbolt.Options) (*database, error) {
	db := &database{}
	o.Timeout = lockWait
	o.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(path, flag, mode)
		db.opened = f
		return f, err
	}
	err := guarded(func() (err error) {
		db.DB, err = bbolt.Open(path, 0o600, &o)
		return err
	})
	if err == nil {
		db.AllocSize = allocSize
		return db, nil
	}
	if db.opened != nil {
		db.drop() // it is closed already, unless there was a panic
	}
	return nil, err
}

// drop lets go of the file without bbolt, which after a panic may still hold a
// lock that it waits for. What is mapped stays so.
func (db *database) drop() {
	unlock(db.opened)
	_ = db.opened.Close()
}

// guarded turns what an unreadable or damaged page leads to in a mapped file, a
// fault or a panic, into an error.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged("%v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// openFile opens or makes the file, when everything in it was checked.
func openFile(path string, cfg *config) (*file, *contents, error) {
	_ = os.Remove(path + compactedSuffix) // the process ended while it was made
	for {
		found, err := inspect(path)
		if err != nil {
			return nil, nil, err
		}
		db, err := openDB(path, bbolt.Options{
			NoSync: cfg.neverSync, NoGrowSync: cfg.neverSync, InitialMmapSize: cfg.mapped(),
		})
		if err != nil {
			return nil, nil, err
		}
		f := &file{path: path, cfg: cfg, db: db}
		if f.txid = f.visible(); found.txid == 0 || found.txid == uint64(f.txid) {
			return f, found, nil
		} // somebody else had it in between
		if err := db.Close(); err != nil {
			return nil, nil, fmt.Errorf("close it: %w", err)
		}
	}
}

// allocSize is by how much the file grows.
const allocSize = 4 << 20

// blame finds out whether bbolt could not open a file because of what is in it.
func blame(err error) error {
	_, path := errors.AsType[*os.PathError](err)
	_, system := errors.AsType[syscall.Errno](err)
	if path || system || holds(err) || errors.Is(err, ErrDamaged) {
		return err
	}
	return damaged("%v", err)
}

// inspect reads and checks a file that may not exist.
func inspect(path string) (*contents, error) {
	found := newContents()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	db, err := openDB(path, bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, blame(err)
	}
	defer func() { _ = db.Close() }() // it was only read
	if info, err = db.opened.Stat(); err != nil {
		return nil, err
	}
	if found.txid, err = scan(db.opened, info.Size(), found.add); err != nil {
		return nil, err
	}
	return found, found.check()
}

// view reads. What f gets is valid until it returns.
func (f *file) view(read func(tx *bbolt.Tx) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return guarded(func() error { return f.db.View(read) })
}

// apply writes changes in one transaction, synced unless that is switched off.
func (f *file) apply(changes []change) error {
	err := guarded(func() error { return write(f.db, changes) })
	if err != nil {
		return err
	}
	f.txid = f.visible()
	if f.journal != nil {
		f.journal.add(changes)
	}
	return nil
}

func write(db *database, changes []change) error {
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			b.FillPercent = 0.9 // places rise, so there is little to be put between
		}
		for _, c := range changes {
			b := tx.Bucket(c.bucket)
			var err error
			if c.value == nil {
				err = b.Delete(c.key)
			} else {
				err = b.Put(c.key, c.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// visible is the transaction that readers see, -1 if that cannot be found out.
func (f *file) visible() int {
	id := -1
	_ = guarded(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			id = tx.ID()
			return nil
		})
	})
	return id
}

// torn reports, after apply failed, whether the transaction may be there
// nevertheless. Then the disk may differ from what can be read, and the file is
// not to be written any more.
func (f *file) torn() bool { return f.visible() != f.txid }

// usage is how many bytes of the file are in use, and how many are not.
func (f *file) usage() (used, free int64) {
	page := int64(f.db.Info().PageSize)
	s := f.db.Stats()
	free = int64(s.FreePageN+s.PendingPageN) * page
	_ = f.db.View(func(tx *bbolt.Tx) error {
		used = tx.Size() - free
		return nil
	})
	return used, free
}

// sync writes everything to the disk.
func (f *file) sync() error {
	if err := f.db.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", f.path, err)
	}
	return nil
}

// close lets go of the file; damaged says that bbolt may not be asked to.
func (f *file) close(damaged bool) error {
	f.closing.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if damaged {
		f.db.drop()
		return nil
	}
	return f.db.Close()
}

// replace puts another file, which is complete and synced, in place of this one.
func (f *file) replace(db *database) error {
	if err := os.Rename(db.Path(), f.path); err != nil {
		return fmt.Errorf("put the new file in place: %w", err)
	}
	if err := syncFolder(f.path); err != nil {
		f.cfg.logger.Warn("arpc: the new file is in place, but maybe not after a power failure", "error", err)
	}
	f.mu.Lock()
	old := f.db
	f.db = db
	f.mu.Unlock()
	f.txid = f.visible()
	f.closing.Go(func() {
		if err := old.Close(); err != nil {
			f.cfg.logger.Warn("arpc: close the file that was replaced", "error", err)
		}
	})
	return nil
}

// syncFolder makes the name of a file as durable as the file.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // a folder cannot be synced there
		return nil
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// setAside renames a damaged file.
func setAside(path string, why error, l *slog.Logger) error {
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("set the damaged file aside: %w", err)
	}
	l.Error("arpc: the file of the topics is damaged; it was set aside, and all topics begin anew", "file", aside, "error", why)
	return nil
}
