package mixed

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// A Cutter stands in front of a server and ends connections in the middle of what
// they carry, at a random byte of either direction.
type Cutter struct {
	// Address is where it listens.
	Address string

	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	left   int // connections that will be cut
	within int // bytes, of which each of these has at most so many
	cuts   int
	armed  bool // the next connections are to be cut
	open   map[*cable]bool
}

// NewCutter starts one, of which the given number of connections will be cut when
// it is armed, each within so many bytes. It ends with the test.
func NewCutter(t testing.TB, server string, seed uint64, cuts, within int) *Cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cutter{
		Address: listener.Addr().String(), server: server, listener: listener,
		random: rand.New(rand.NewPCG(seed, 0)), left: cuts, within: within, open: map[*cable]bool{},
	}
	c.running.Go(c.accept)
	t.Cleanup(func() {
		listener.Close()
		c.endAll()
		c.running.Wait()
	})
	return c
}

// Arm ends the connections there are, and cuts those that come.
func (c *Cutter) Arm() {
	c.mu.Lock()
	c.armed = true
	c.mu.Unlock()
	c.endAll()
}

// Cuts is how many connections were cut at a byte.
func (c *Cutter) Cuts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts
}

func (c *Cutter) endAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for cable := range c.open {
		cable.end()
	}
}

func (c *Cutter) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.server)
		if err != nil {
			near.Close()
			continue
		}
		c.connect(&cable{near: near, far: far, left: -1})
	}
}

func (c *Cutter) connect(cable *cable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed && c.left > 0 {
		c.left--
		cable.left = 1 + c.random.IntN(c.within)
	}
	c.open[cable] = true
	var both sync.WaitGroup
	both.Go(func() { cable.carry(cable.near, cable.far) })
	both.Go(func() { cable.carry(cable.far, cable.near) })
	c.running.Go(func() {
		both.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, cable)
		if cable.left == 0 {
			c.cuts++
		}
	})
}

// A cable is one connection through a Cutter.
type cable struct {
	near, far net.Conn
	mu        sync.Mutex
	left      int // bytes that it still carries; guarded by mu, below 0 for all
}

func (c *cable) end() {
	c.near.Close()
	c.far.Close()
}

// carry copies until either end is gone, or the bytes are used up.
func (c *cable) carry(from io.Reader, to io.Writer) {
	defer c.end()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		allowed := c.spend(n)
		if _, failure := to.Write(buffer[:allowed]); failure != nil || err != nil || allowed < n || c.isSpent() {
			return
		}
	}
}

// spend takes bytes from what is left; it returns how many there were.
func (c *cable) spend(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left < 0 {
		return n
	}
	n = min(n, c.left)
	c.left -= n
	return n
}

func (c *cable) isSpent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left == 0
}
