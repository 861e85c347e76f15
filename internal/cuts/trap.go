package cuts

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// Start starts a Proxy, which ends with the test.
func Start(t testing.TB, config Config) *Proxy {
	t.Helper()
	p, err := NewProxy(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// A Trap is a Proxy that cuts connections at random bytes once it is armed.
type Trap struct {
	*Proxy
	armed atomic.Bool
}

// NewTrap starts one, which ends with the test. It will cut so many connections,
// each within so many bytes of one of the ways.
func NewTrap(t testing.TB, server string, random *rand.Rand, quota, within int, ways ...Way) *Trap {
	t.Helper()
	trap := &Trap{}
	trap.Proxy = Start(t, Config{Server: server, Plan: func(int) *Cut { // asked for one connection at a time
		if !trap.armed.Load() || quota == 0 {
			return nil
		}
		quota--
		return &Cut{Way: ways[random.IntN(len(ways))], After: 1 + int64(random.IntN(within))}
	}})
	return trap
}

// Arm ends the connections there are, and cuts those that come.
func (t *Trap) Arm() {
	t.armed.Store(true)
	t.CutAll(false)
}
