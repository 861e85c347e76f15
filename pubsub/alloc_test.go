//go:build !race

package pubsub_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// TestAllocationsOfAPublication holds the ceiling of what a publication allocates
// on its way to all that subscribed, however many they are: it is encoded once, and
// each has a place in one log. The subscribers are bytes that are counted.
func TestAllocationsOfAPublication(t *testing.T) {
	for _, subscribers := range []int{1, 10, 200} {
		t.Run(fmt.Sprint(subscribers), func(t *testing.T) {
			hub := newHubFanout(t)
			var received, want atomic.Int64
			all := make(chan struct{}, 1)
			var reading sync.WaitGroup
			t.Cleanup(reading.Wait) // when all are closed
			for range subscribers {
				conn := hub.subscribe(t)
				t.Cleanup(func() { conn.Close() })
				reading.Go(func() {
					buf := make([]byte, 4<<10)
					for {
						n, err := conn.Read(buf)
						if err != nil {
							return
						}
						if received.Add(int64(n)) == want.Load() {
							all <- struct{}{}
						}
					}
				})
			}
			each := int64(hub.frame() * subscribers)
			got := testing.AllocsPerRun(200, func() {
				want.Add(each)
				hub.publish(t)
				<-all
			})
			t.Logf("%v allocations", got)
			const ceiling = 30 // frame, entry, timer, answer, and what wakes those who write; nothing for a subscriber
			if got > ceiling {
				t.Errorf("%v allocations, ceiling %v", got, ceiling)
			}
		})
	}
}
