// Package audience is the load of a fan-out: many subscribers on WebSockets,
// read by one goroutine that costs as little as it can, so that it is the
// servers that are measured.
package audience

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/control"
)

// Protocol is how subscribers of one contender come in and read.
type Protocol struct {
	// Path is where the WebSocket is.
	Path string
	// Greet makes a subscriber of a new link: what is published after it
	// returned is delivered.
	Greet func(*Link) error
	// Read calls deliver with the text of each publication in a message. What it
	// returns is sent back, with the opcode of the message. Both are valid during
	// the call only.
	Read func(message []byte, deliver func(text []byte) error) (reply []byte, err error)
}

// maxFrame bounds what one frame of a server may have.
const maxFrame = 1 << 20

// patience is how long nothing may arrive before what is missing counts as lost.
const patience = 5 * time.Second

// Audience are subscribers that count what they get. It is for one goroutine.
type Audience struct {
	protocol Protocol
	poller   *poller
	orders   io.Writer
	patience time.Duration
	buf      []byte

	subscribers []subscriber
	ledger      ledger

	reading *subscriber        // whose frames are taken
	deliver func([]byte) error // to it; bound once, so that a read allocates nothing
}

// subscriber is one connection.
type subscriber struct {
	fd       int
	last     uint64 // number of the last publication it got
	received []byte // the beginning of a frame
}

// New takes links, whose subscribers are in, for an audience. It orders
// publications of a number of bytes, one for each byte that it writes to orders,
// and keeps a window of them in flight: a publication is done when all
// subscribers have it.
func New(protocol Protocol, links []*Link, orders io.Writer, size, window int) (*Audience, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	a := &Audience{
		protocol: protocol, poller: p, orders: orders, patience: patience,
		buf:         make([]byte, 2*maxFrame),
		subscribers: make([]subscriber, 0, len(links)),
		ledger:      newLedger(len(links), size, window),
	}
	a.deliver = a.delivered
	for _, l := range links {
		if err := a.admit(l); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

func (a *Audience) admit(l *Link) error {
	fd, received, err := l.release()
	if err != nil {
		return err
	}
	a.subscribers = append(a.subscribers, subscriber{fd: fd, received: received})
	return a.poller.add(fd, len(a.subscribers)-1)
}

// Close closes all connections.
func (a *Audience) Close() error {
	err := a.poller.close()
	for i := range a.subscribers {
		err = errors.Join(err, closeSocket(a.subscribers[i].fd))
	}
	return err
}

// Run orders publications for a time, and waits until the last of them is done.
func (a *Audience) Run(d time.Duration) (control.Outcome, error) {
	start := time.Now()
	until := start.Add(d)
	a.ledger.begin()
	for now := start; ; now = time.Now() {
		if now.Before(until) {
			if err := a.order(now); err != nil {
				return control.Outcome{}, err
			}
		} else if a.ledger.inFlight() == 0 {
			return a.ledger.outcome(now.Sub(start)), nil
		}
		some, err := a.poller.wait(a.patience, a.readOne)
		if err != nil {
			return control.Outcome{}, err
		}
		if !some {
			a.giveUp()
		}
	}
}

// order fills the window.
func (a *Audience) order(now time.Time) error {
	n := a.ledger.order(now)
	if n == 0 {
		return nil
	}
	if _, err := a.orders.Write(make([]byte, n)); err != nil {
		return fmt.Errorf("order %d publications: %w", n, err)
	}
	return nil
}

// giveUp counts what subscribers still wait for as lost.
func (a *Audience) giveUp() {
	for i := range a.subscribers {
		a.ledger.lose(a.subscribers[i].last, a.ledger.ordered)
		a.subscribers[i].last = a.ledger.ordered
	}
}

// readOne reads what one subscriber got, once.
func (a *Audience) readOne(name int) error {
	s := &a.subscribers[name]
	had := copy(a.buf, s.received)
	n, err := read(s.fd, a.buf[had:])
	if err == nil {
		a.reading = s
		err = a.take(a.buf[:had+n])
	}
	if err != nil {
		return fmt.Errorf("subscriber %d: %w", name, err)
	}
	return nil
}

// take takes whole frames, and keeps what is left.
func (a *Audience) take(b []byte) error {
	for {
		m, ok, err := cut(b)
		if err != nil {
			return err
		}
		if !ok {
			a.reading.received = append(a.reading.received[:0], b...)
			return nil
		}
		b = b[m.size:]
		if err := a.handle(m); err != nil {
			return err
		}
	}
}

func (a *Audience) handle(m message) error {
	switch m.opcode {
	case Text, Binary:
		reply, err := a.protocol.Read(m.payload, a.deliver)
		if err != nil || reply == nil {
			return err
		}
		return write(a.reading.fd, appendFrame(nil, m.opcode, reply))
	case opPing:
		return write(a.reading.fd, appendFrame(nil, opPong, m.payload))
	case opClose:
		return fmt.Errorf("the server closes: %q", m.payload)
	}
	return nil
}

func (a *Audience) delivered(text []byte) (err error) {
	a.reading.last, err = a.ledger.arrived(a.reading.last, text)
	return err
}
