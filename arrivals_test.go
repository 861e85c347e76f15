package arpc

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestThoseSentAwayComeBackNoFasterThanTheyCame, and no slower than a client takes.
func TestThoseSentAwayComeBackNoFasterThanTheyCame(t *testing.T) {
	for name, c := range map[string]struct {
		seconds, each, leave int
		want                 time.Duration
	}{
		"few":                    {1, 10, 0, time.Second},
		"slowly, as time passed": {10, 500, 0, 5 * time.Second},
		"faster than any":        {2, 4000, 0, 2 * time.Second},
		"most are gone":          {10, 500, 4500, time.Second},
		"more than come back":    {200, 1000, 0, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(*testing.T) {
				time.Sleep(time.Second - time.Since(epoch)%time.Second)
				var a arrivals
				for range c.seconds {
					for range c.each {
						a.came()
					}
					time.Sleep(time.Second)
				}
				for range c.leave {
					a.went()
				}
				if got := a.spread(); got != c.want {
					t.Errorf("%v, want %v", got, c.want)
				}
			})
		})
	}
}
