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
	cn.streams.mu.Lock()
	defer cn.streams.mu.Unlock()
	return len(cn.streams.ours) + len(cn.streams.theirs)
}
