// Package cuts ends connections at exact bytes, in front of a real server, and
// shows that the sessions they carry lose nothing and do nothing twice.
package cuts

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// A Way is a direction of a connection.
type Way int

// The ways.
const (
	Up   Way = iota // from the client to the server
	Down            // from the server to the client
)

func (w Way) String() string { return [...]string{"up", "down"}[w] }

// A Cut says where a connection ends.
type Cut struct {
	// Way is whose bytes are counted.
	Way Way
	// After is how many of them get through.
	After int64
	// Reset ends both sides as a network does that lost them, and not as one
	// that closed them: what they were sent and have not read may be gone.
	Reset bool
}

// Config is what a Proxy does.
type Config struct {
	// Server is the address behind it.
	Server string
	// Plan is asked for each connection, which are numbered from 0, where to cut
	// it; nil, as a plan and as its answer, is nowhere. It may ask the proxy for
	// Cuts, and for nothing else.
	Plan func(connection int) *Cut
	// Tap, if there is one, sees what gets through, before it does. It is called by
	// one goroutine for each way of each connection.
	Tap func(connection int, way Way, b []byte)
}

// A Proxy stands in front of a server, carries connections to it, and cuts them.
// Its methods are safe for concurrent use.
type Proxy struct {
	// Address is where it listens.
	Address string

	config   Config
	listener net.Listener
	running  sync.WaitGroup
	cuts     atomic.Int64

	mu     sync.Mutex // guards what follows
	down   bool
	closed bool
	number int // of the next connection
	open   map[*cable]bool
}

// NewProxy starts one, on a loopback port.
func NewProxy(config Config) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for connections to cut: %w", err)
	}
	p := &Proxy{Address: listener.Addr().String(), config: config, listener: listener, open: map[*cable]bool{}}
	p.running.Go(p.accept)
	return p, nil
}

// Close ends all connections and waits until nothing of them runs.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.CutAll(false)
	p.running.Wait()
	if errors.Is(err, net.ErrClosed) { // a second Close
		return nil
	}
	return err
}

// Cuts is how many connections were cut where the plan said.
func (p *Proxy) Cuts() int { return int(p.cuts.Load()) }

// Connections is how many there are.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// CutAll ends the connections there are, wherever they stand, and returns how many
// there were.
func (p *Proxy) CutAll(reset bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.end(reset)
	}
	return len(p.open)
}

// Down ends all connections, and those that come at once, until Up.
func (p *Proxy) Down() {
	p.setDown(true)
	p.CutAll(true)
}

// Up carries connections again.
func (p *Proxy) Up() { p.setDown(false) }

func (p *Proxy) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *Proxy) isDown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.connect(near) })
	}
}

// connect carries one connection until it ends.
func (p *Proxy) connect(near net.Conn) {
	if p.isDown() { // the server is to know nothing of it
		near.Close()
		return
	}
	far, err := net.Dial("tcp", p.config.Server)
	if err != nil {
		near.Close()
		return
	}
	c := p.add(near, far)
	if c == nil {
		near.Close()
		far.Close()
		return
	}
	c.carry()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// add takes a connection in, unless the proxy is down.
func (p *Proxy) add(near, far net.Conn) *cable {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.closed {
		return nil
	}
	number := p.number
	p.number++
	c := &cable{ends: [2]net.Conn{near, far}, reached: func() { p.cuts.Add(1) }}
	if p.config.Plan != nil {
		c.cut = p.config.Plan(number)
	}
	if p.config.Tap != nil {
		c.tap = func(way Way, b []byte) { p.config.Tap(number, way, b) }
	}
	p.open[c] = true
	return c
}
