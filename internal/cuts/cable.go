package cuts

import (
	"net"
	"sync"
)

// A cable is one connection through a Proxy.
type cable struct {
	ends    [2]net.Conn // the client, the server
	cut     *Cut        // nil is nowhere
	reached func()      // called at the cut, before anything is closed
	tap     func(way Way, b []byte)

	ending sync.Once
}

// carry copies both ways until either end is gone or the cut is reached.
func (c *cable) carry() {
	var both sync.WaitGroup
	both.Go(func() { c.copy(Up) })
	both.Go(func() { c.copy(Down) })
	both.Wait()
}

// copy copies one way. It reads no more than may get through, so that what it
// was sent and what it passed on are the same.
func (c *cable) copy(way Way) {
	defer c.end(false)
	from, to := c.ends[way], c.ends[1-way]
	buffer := make([]byte, 32<<10)
	left := int64(-1)
	if c.cut != nil && c.cut.Way == way {
		left = c.cut.After
	}
	for left != 0 {
		room := buffer
		if left > 0 {
			room = buffer[:min(left, int64(len(buffer)))]
		}
		n, err := from.Read(room)
		if n > 0 {
			if c.tap != nil {
				c.tap(way, room[:n])
			}
			if _, failure := to.Write(room[:n]); failure != nil {
				return
			}
		}
		if left > 0 {
			left -= int64(n)
		}
		if err != nil && left != 0 {
			return
		}
	}
	c.reached()
	c.end(c.cut.Reset)
}

// end closes both ends, the first time.
func (c *cable) end(reset bool) {
	c.ending.Do(func() {
		for _, conn := range c.ends {
			if tcp, ok := conn.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0) // it may be closed already
			}
			conn.Close()
		}
	})
}
