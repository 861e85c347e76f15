package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
)

// smallDisk is a file system of 12 MiB.
func smallDisk(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=12m"); err != nil {
		t.Fatalf("this test mounts a small tmpfs, which takes root and CAP_SYS_ADMIN: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Errorf("unmount %s: %v", folder, err)
		}
	})
	return folder
}

// fill takes the room that is left but for some.
func fill(t *testing.T, folder string, but int64) (filler string) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		t.Fatal(err)
	}
	filler = filepath.Join(folder, "filler")
	if err := os.WriteFile(filler, make([]byte, int64(s.Bavail)*int64(s.Bsize)-but), 0o600); err != nil {
		t.Fatal(err)
	}
	return filler
}

// TestFullDisk: when there is no room publishers are told so, all that was
// acknowledged can be read, and when there is room again it goes on.
func TestFullDisk(t *testing.T) {
	folder := smallDisk(t)
	path := filepath.Join(folder, "topics.db")
	b := openBroker(t, path)
	follower := &ordered{t: t}
	if _, _, err := b.Subscribe(t.Context(), "t", killSettings, follower); err != nil {
		t.Fatal(err)
	}
	padding := string(make([]byte, 4000))
	filler := fill(t, folder, 3<<20)
	var acked, refused atomic.Int64
	var publishing sync.WaitGroup
	for range 8 {
		publishing.Go(func() {
			for refused.Load() < 1000 {
				got := try(b, broker.Append{Topic: "t", Frame: brokertest.Frame(padding), Settings: killSettings})
				switch {
				case got.err == nil:
					acked.Add(1)
				case arpc.CodeOf(got.err) == arpc.CodeResourceExhausted:
					refused.Add(1)
				default:
					t.Errorf("a publisher is told %v", got.err)
					return
				}
			}
		})
	}
	publishing.Wait()
	arpctest.Figure(t, "bolt_full_acknowledged", acked.Load())
	check := func(b *Broker, what string) {
		t.Helper()
		if held := len(readAll(t, b, "t")) - 1; held != int(acked.Load()) {
			t.Errorf("%s: %d entries, %d were acknowledged", what, held, acked.Load())
		}
	}
	check(b, "while the disk is full")
	if acked.Load() == 0 {
		t.Error("nothing was written before")
	}

	full, err := Open(path + ".other")
	if err == nil {
		t.Errorf("a new file on a full disk: %v", errors.Join(errors.New("no error"), full.Close()))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	untilTaken(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("there is room"), Settings: killSettings})
	acked.Add(1)
	check(b, "when there is room")
	if follower.last != uint64(acked.Load()) {
		t.Errorf("%d were delivered, %d acknowledged", follower.last, acked.Load())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	check(b, "opened again")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenOnFullDisk: what is there can be read though nothing can be written.
func TestOpenOnFullDisk(t *testing.T) {
	folder := smallDisk(t)
	path := filepath.Join(folder, "topics.db")
	b, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprint(i))
		put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame(want[i]), Settings: killSettings})
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	fill(t, folder, 0)
	b = openBroker(t, path)
	checkTexts(t, b, want)
}
