package bolt

import "time"

// sweep does what is to be done though nobody publishes: it drops what is too
// old, forgets topics that nobody needs, deletes what is not held any more, and
// compacts the file.
func (c *committer) sweep() {
	if c.damaged {
		return
	}
	b := c.broker.newBatch()
	for _, t := range c.broker.all() {
		switch {
		case t.end(b.now.Add(-c.broker.cfg.linger)):
			c.forget(t)
		case t.head.over(b.now) || t.floor < t.head.first || len(t.keys.surplus(t.head.settings.MaxKeys, b.now.UnixNano())) > 0:
			d := b.draft(t)
			b.sweepFloor(d, 1)
		}
	}
	left := c.collect(b)
	if len(b.order) == 0 && len(b.changes) == 0 {
		c.considerCompaction(b.now)
		return
	}
	c.commit(b)
	if c.failure == nil {
		c.garbage, c.forgotten = left, nil
	}
}

// all are the topics.
func (b *Broker) all() []*topicState {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*topicState, 0, len(b.topics))
	for _, t := range b.topics {
		all = append(all, t)
	}
	return all
}

// forget ends a topic: what there is of it is garbage.
func (c *committer) forget(t *topicState) {
	c.broker.mu.Lock()
	if c.broker.topics[t.name] == t {
		delete(c.broker.topics, t.name)
	}
	c.broker.mu.Unlock()
	c.forgotten = append(c.forgotten, t.name)
	if t.head.last >= t.floor {
		c.garbage = append(c.garbage, places{entriesBucket, t.head.id, t.floor, t.head.last})
	}
	for _, k := range t.keys.order {
		c.garbage = append(c.garbage, places{keysBucket, t.head.id, k.offset, k.offset})
	}
}

// collect deletes the heads of topics that are gone, in the same transaction
// some garbage, and returns what is left then.
func (c *committer) collect(b *batch) (left []places) {
	for _, name := range c.forgotten {
		again, _ := c.broker.find(name)
		if again == nil {
			b.changes = append(b.changes, change{headsBucket, []byte(name), nil})
			continue
		}
		again.written = false // the head in the file is another's
		b.draft(again)
	}
	left = c.garbage
	for room := uint64(sweepMost); len(left) > 0 && room > 0; {
		g := left[0]
		n := min(room, g.to-g.from+1)
		for offset := g.from; offset < g.from+n; offset++ {
			b.changes = append(b.changes, change{g.bucket, place(g.id, offset), nil})
		}
		room -= n
		if g.from += n; g.from > g.to {
			left = left[1:]
			continue
		}
		left = append([]places{g}, left[1:]...)
	}
	return left
}

// considerCompaction compacts the file if most of it is unused.
func (c *committer) considerCompaction(now time.Time) {
	if c.compact != nil || c.failure != nil || now.Sub(c.checked) < compactEvery {
		return
	}
	c.checked = now
	if used, free := c.broker.file.usage(); free > max(used, compactAt) {
		c.startCompaction()
	}
}
