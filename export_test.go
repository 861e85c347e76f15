package arpc

// PendingCalls is how many calls of a client wait for the peer.
func (c *Client) PendingCalls() int { return c.pending.count() }

// OpenStreams is how many streams the current connection has.
func (c *Client) OpenStreams() int {
	c.mu.Lock()
	cn := c.current
	c.mu.Unlock()
	if cn == nil {
		return 0
	}
	return cn.session().streams.count()
}

// Rest makes the current connection give up what it does not need, as it does
// when it was silent for a while.
func (c *Client) Rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.session().rest()
	c.current.out.rest()
}

// Flush wakes a source, and flushes unless somebody else does.
func (c *Client) Flush(s Source) { c.wake(s) }
