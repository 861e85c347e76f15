package arpc

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// TestWhatIsManyFitsItsSizeClasses: 10,000 idle connections are what a server may
// hold, and one word more costs each of them 32 or 64 bytes. A request is what the
// collector has most to do with.
func TestWhatIsManyFitsItsSizeClasses(t *testing.T) {
	// What is larger than 512 bytes has 8 more, and fills a page less well.
	for what, fits := range map[string]struct{ size, class uintptr }{
		"conn":          {unsafe.Sizeof(conn{}), 512},
		"keepalive":     {unsafe.Sizeof(keepalive{}), 128},
		"session":       {unsafe.Sizeof(session{}), 320},
		"Client":        {unsafe.Sizeof(Client{}), 256},
		"lasting":       {unsafe.Sizeof(lasting{}), 224},
		"Context":       {unsafe.Sizeof(Context{}), 128},
		"with its body": {unsafe.Sizeof(Context{}) + small, 208},
	} {
		if fits.size > fits.class {
			t.Errorf("%s: %d bytes, the allocator has room for %d", what, fits.size, fits.class)
		}
	}
}

// TestTheFirstThatIsDueIsNextInEveryOrder, whoever is moved or dropped meanwhile.
func TestTheFirstThatIsDueIsNextInEveryOrder(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var r rounds
			all := make([]*keepalive, 20)
			for i := range all {
				all[i] = &keepalive{stopped: true} // a tick leaves it alone
				r.schedule(all[i], time.Hour)
			}
			var want []*keepalive
			for i, at := range random.Perm(len(all)) {
				if at%4 == 0 {
					r.drop(all[i])
					continue
				}
				r.schedule(all[i], time.Duration(at)*time.Millisecond)
				want = append(want, all[i])
			}
			slices.SortFunc(want, func(a, b *keepalive) int { return int(a.due - b.due) })
			r.timer.Stop() // we look
			if k := r.next(); k != nil {
				t.Errorf("seed %d: one is due at once", seed)
			}
			r.timer.Stop()
			time.Sleep(time.Second)
			for i, k := range want {
				if got := r.next(); got != k {
					t.Fatalf("seed %d: number %d is another", seed, i)
				}
			}
			if r.next() != nil {
				t.Errorf("seed %d: one was dropped, and is due", seed)
			}
		})
	}
}

func (r *rounds) waits(k *keepalive) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return k.queued
}

// TestRoundsGoOn: the timer is set for the next one each time, and for one that
// comes when there was none.
func TestRoundsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rounds
		for range 2 {
			one, other := &keepalive{stopped: true}, &keepalive{stopped: true}
			r.schedule(one, 2*time.Second)
			r.schedule(other, time.Second)
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
			if r.waits(other) || !r.waits(one) {
				t.Error("after one and a half seconds the one of a second was looked at")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if r.waits(one) {
				t.Error("the other was not")
			}
		}
	})
}
