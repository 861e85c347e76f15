package topic

// Stats are what topics hold now, for gauges.
type Stats struct {
	// Topics is how many there are.
	Topics int
	// Subscriptions is how many places in them: of subscribers who follow.
	Subscriptions int
	// Lag is how many entries they have yet to take, all together, and MaxLag the
	// one that is furthest behind.
	Lag, MaxLag uint64
}

// Add adds those of other topics.
func (s *Stats) Add(o Stats) {
	s.Topics += o.Topics
	s.Subscriptions += o.Subscriptions
	s.Lag += o.Lag
	s.MaxLag = max(s.MaxLag, o.MaxLag)
}

// Behind counts a subscription that has yet to take so many entries.
func (s *Stats) Behind(entries uint64) {
	s.Subscriptions++
	s.Lag += entries
	s.MaxLag = max(s.MaxLag, entries)
}
