package aead

// UseUp makes a key as old as it may become.
func (c *Coder) UseUp() { c.frames.Store(maxFrames - 1) }
