package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
)

// faults make one write or sync of a file fail. bbolt has a place for that, which
// it does not export; if it moves, these tests fail to find it.
type faults struct {
	t    *testing.T
	db   *bbolt.DB
	file *os.File // the real one
	pipe *os.File // which cannot be synced

	writes int // of pages, since the fault was armed
	hit    bool
}

// fault is what fails: the write of a page, of the page that makes the
// transaction valid, or the sync after either.
type fault struct {
	name string
	// strike is called instead of a write; meta says which sort it is. It
	// reports false to let it pass.
	strike func(f *faults, meta bool, b []byte, at int64) (struck bool, err error)
}

func field[T any](of any, path ...string) *T {
	v := reflect.ValueOf(of).Elem()
	for _, name := range path {
		v = v.FieldByName(name)
	}
	return (*T)(v.Addr().UnsafePointer())
}

// arm makes the next commit of a broker fail.
func arm(t *testing.T, b *Broker, strike fault) *faults {
	t.Helper()
	f := &faults{t: t}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	f.pipe = r
	t.Cleanup(func() { _ = r.Close() })
	onCommitter(t, b, func() {
		f.db = b.file.db.DB
		f.file = *field[*os.File](f.db, "file")
		*field[func([]byte, int64) (int, error)](f.db, "ops", "writeAt") = func(b []byte, at int64) (int, error) {
			return f.write(strike, b, at)
		}
	})
	return f
}

func onCommitter(t *testing.T, b *Broker, do func()) {
	t.Helper()
	if err := b.call(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func (f *faults) write(strike fault, b []byte, at int64) (int, error) {
	meta := at < int64(2*f.db.Info().PageSize)
	if !f.hit {
		struck, err := strike.strike(f, meta, b, at)
		f.writes++
		f.hit = struck
		if err != nil {
			return 0, err
		}
		if struck {
			return len(b), nil
		}
	}
	return f.file.WriteAt(b, at)
}

// syncs makes syncs fail, or work again.
func (f *faults) syncs(work bool) {
	file := f.pipe
	if work {
		file = f.file
	}
	*field[*os.File](f.db, "file") = file
}

// heal makes everything work again, if the file was not replaced meanwhile.
func (f *faults) heal(b *Broker) {
	onCommitter(f.t, b, func() {
		if b.file.db.DB == f.db {
			f.syncs(true)
			f.hit = true
		}
	})
}

// pageFaults are those of the write of the n-th page.
func pageFaults(n int) []fault {
	at := func(name string, fail func(f *faults, b []byte, at int64) error) fault {
		return fault{fmt.Sprint("page ", n, ": ", name), func(f *faults, meta bool, b []byte, at int64) (bool, error) {
			if meta || f.writes != n {
				return false, nil
			}
			return true, fail(f, b, at)
		}}
	}
	return []fault{
		at("nothing is written", func(*faults, []byte, int64) error { return syscall.EIO }),
		at("half of it is written", func(f *faults, b []byte, at int64) error {
			_, _ = f.file.WriteAt(b[:len(b)/2], at)
			return syscall.EIO
		}),
		at("there is no room", func(*faults, []byte, int64) error {
			return &os.PathError{Op: "write", Path: "topics.db", Err: syscall.ENOSPC}
		}),
		at("the sync after it fails", func(f *faults, b []byte, at int64) error {
			f.syncs(false)
			_, err := f.file.WriteAt(b, at)
			return err
		}),
	}
}

func metaFaults() []fault {
	at := func(name string, fail func(f *faults, b []byte, at int64) error) fault {
		return fault{"meta page: " + name, func(f *faults, meta bool, b []byte, at int64) (bool, error) {
			if !meta {
				return false, nil
			}
			return true, fail(f, b, at)
		}}
	}
	return []fault{
		at("nothing is written", func(*faults, []byte, int64) error { return syscall.EIO }),
		at("half of it is written", func(f *faults, b []byte, at int64) error {
			_, _ = f.file.WriteAt(b[:40], at)
			return syscall.EIO
		}),
		at("all of it is written, and said not to be", func(f *faults, b []byte, at int64) error {
			_, _ = f.file.WriteAt(b, at)
			return syscall.EIO
		}),
		at("the sync after it fails", func(f *faults, b []byte, at int64) error {
			f.syncs(false)
			_, err := f.file.WriteAt(b, at)
			return err
		}),
	}
}

// TestWriteFailures: whatever write or sync of a commit fails, nothing that was
// acknowledged is lost, nothing that was not is delivered, readers go on, and
// publishers do when the disk does.
func TestWriteFailures(t *testing.T) {
	for _, f := range metaFaults() {
		t.Run(f.name, func(t *testing.T) {
			if !testFault(t, f) {
				t.Error("nothing failed")
			}
		})
	}
	steps := len(metaFaults())
	for n, more := 0, true; more; n++ {
		for _, f := range pageFaults(n) {
			t.Run(f.name, func(t *testing.T) { more = testFault(t, f) })
			if more {
				steps++
			}
		}
	}
	arpctest.Figure(t, "bolt_write_failures", steps)
}

// follower of a test that checks the order.
type ordered struct {
	t    *testing.T
	mu   sync.Mutex
	got  []string
	last uint64
}

func (o *ordered) Deliver(e broker.Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e.Offset != o.last+1 {
		o.t.Errorf("offset %d was delivered after %d", e.Offset, o.last)
	}
	o.last = e.Offset
	o.got = append(o.got, brokertest.Text(e.Frame))
}
func (o *ordered) Reset(broker.State)    {}
func (o *ordered) Changed(broker.Change) {}
func (o *ordered) TakeOne([]byte) bool   { return false }

// testFault reports whether the fault could strike.
func testFault(t *testing.T, strike fault) (struck bool) {
	path := filepath.Join(t.TempDir(), "topics.db")
	b := openBroker(t, path)
	follower := &ordered{t: t}
	if _, _, err := b.Subscribe(context.Background(), "t", killSettings, follower); err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for i := range 50 {
		text := fmt.Sprint("entry ", i)
		put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame(text), Key: text, Settings: killSettings})
		want = append(want, text)
	}
	f := arm(t, b, strike)
	failed := try(b, broker.Append{Topic: "t", Frame: brokertest.Frame("failed"), Key: "failed", Settings: killSettings})
	if !f.hit {
		return false // the commit has fewer steps
	}
	if code := arpc.CodeOf(failed.err); code != arpc.CodeUnavailable && code != arpc.CodeResourceExhausted {
		t.Errorf("the publisher is told %v", failed.err)
	}
	checkTexts(t, b, want)
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	copyFile(t, path, crashed)
	f.heal(b)
	want = append(want, "after it")
	after := untilTaken(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("after it"), Settings: killSettings})
	if after.Offset != 51 {
		t.Errorf("the next is at %d", after.Offset)
	}
	again := put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("again"), Key: "entry 7", Settings: killSettings})
	if again.Offset != 8 {
		t.Errorf("a key is at %d", again.Offset)
	}
	checkTexts(t, b, want)
	follower.mu.Lock()
	if fmt.Sprint(follower.got) != fmt.Sprint(want) {
		t.Errorf("delivered: %q", follower.got)
	}
	follower.mu.Unlock()
	if err := errors.Join(b.Close(), f.pipe.Close()); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	_ = f.file.Close() // where the file was replaced nobody else can
	checkTexts(t, openBroker(t, path), want)
	// A process that ended at the fault leaves what was acknowledged, and maybe
	// what was not.
	before := want[:50]
	events := readAll(t, openBroker(t, crashed), "t")[1:]
	if len(events) == 51 && events[50].Payload == "failed" {
		events = events[:50]
	}
	if len(events) != len(before) {
		t.Errorf("after a crash there are %d entries", len(events))
	}
	return true
}

// untilTaken publishes until the broker is over what went wrong.
func untilTaken(t *testing.T, b *Broker, a broker.Append) broker.Position {
	t.Helper()
	frame := a.Frame
	for end := time.Now().Add(brokertest.Wait); ; time.Sleep(time.Millisecond) {
		a.Frame = append([]byte(nil), frame...)
		got := try(b, a)
		if got.err == nil {
			return got.at
		}
		if time.Now().After(end) {
			t.Fatalf("still %v", got.err)
		}
	}
}

func checkTexts(t *testing.T, b *Broker, want []string) {
	t.Helper()
	var got []string
	for i, e := range readAll(t, b, "t")[1:] {
		if e.Offset != uint64(i+1) {
			t.Errorf("entry %d has the offset %d", i, e.Offset)
		}
		got = append(got, e.Payload)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("held: %q, want %q", got, want)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, in.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestGrowFailure: the file cannot grow.
func TestGrowFailure(t *testing.T) {
	b := openBroker(t, filepath.Join(t.TempDir(), "topics.db"))
	put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Settings: killSettings})
	f := arm(t, b, fault{"none", func(*faults, bool, []byte, int64) (bool, error) { return false, nil }})
	onCommitter(t, b, func() { f.syncs(false) })
	large := brokertest.Frame(string(make([]byte, 2*allocSize)))
	if failed := try(b, broker.Append{Topic: "t", Frame: large, Settings: killSettings}); arpc.CodeOf(failed.err) != arpc.CodeUnavailable {
		t.Errorf("the publisher is told %v", failed.err)
	}
	checkTexts(t, b, []string{"1"})
	f.heal(b)
	untilTaken(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("2"), Settings: killSettings})
	checkTexts(t, b, []string{"1", "2"})
}
