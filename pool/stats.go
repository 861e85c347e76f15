package pool

import "github.com/seed-fbfaa03e/arpc"

// Stats is what all connections of the pool hold now.
func (p *Pool) Stats() arpc.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all arpc.Stats
	for _, m := range p.members {
		if m.ready.Load() {
			all.Add(m.client.Stats())
		}
	}
	return all
}
