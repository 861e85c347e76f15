package pubsub

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// Subscription is one topic of a Client. Its methods are safe for concurrent use.
type Subscription struct {
	client  *Client
	o       subscribeOptions
	handler func(*Message)
	queue   chan *Message // for All
	ready   chan struct{} // closed when the server first said where it is
	done    chan struct{} // closed when it is over

	calling sync.Mutex // one call of the application's functions at a time
	asking  sync.Mutex // one request to the server at a time, the last of which unsubscribes

	mu       sync.Mutex // guards what follows
	epoch    string
	offset   uint64 // of the last publication that the handler has handled
	placed   bool   // epoch and offset are known
	asked    uint64 // offset that the last request had
	live     bool   // the server pushes, on the connection there is
	awaiting uint64 // seq of the request before whose answer pushes mean nothing; 0 is none
	hole     bool   // something is missing, and is about to be asked for
	gaps     []Gap  // to be told
	members  map[string]Member
	version  uint64 // of members
	over     bool
	err      error // why
}

// waiting is how many publications wait for a loop over All.
const waiting = 1024

func newSubscription(c *Client, o subscribeOptions, f func(*Message)) *Subscription {
	s := &Subscription{client: c, o: o, handler: f, ready: make(chan struct{}), done: make(chan struct{})}
	if o.request.Presence {
		s.o.request.Member = c.secret
	}
	if r := o.request; r.Epoch != nil && *r.Epoch != "" {
		s.epoch, s.offset, s.placed = *r.Epoch, *r.Offset, true
	}
	if f == nil {
		s.queue = make(chan *Message, waiting)
		s.handler = func(m *Message) {
			select {
			case <-c.Done(): // nothing comes behind what was left out
				return
			default:
			}
			select {
			case s.queue <- m:
			case <-s.done:
			case <-c.Done():
			}
		}
	}
	return s
}

// Topic is the name of the topic.
func (s *Subscription) Topic() string { return s.o.request.Topic }

// Position is that of the last publication that was handled, or in front of the
// first to come. Since goes on from there. It is zero with base servers.
func (s *Subscription) Position() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Position{Epoch: s.epoch, Offset: s.offset}
}

// Err is why the subscription is over: nil while it is not, and if it was
// unsubscribed.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Members are those who are there as far as the client knows. It needs WithPresence.
func (s *Subscription) Members() []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.members))
}

// All are the publications of a subscription that was made without a handler.
// The loop ends when the subscription, the client or ctx does, with an error if
// there is a reason. A loop that is slow holds up the other topics of the client, and the
// server keeps what it does not get, as long as it keeps anything. Who leaves the loop
// for good has to call Unsubscribe: when 1,024 publications wait the other topics do too.
func (s *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			select {
			case m := <-s.queue:
				if !yield(m, nil) {
					return
				}
				continue
			default:
			}
			select {
			case m := <-s.queue:
				if !yield(m, nil) {
					return
				}
			case <-s.done:
				if err := s.Err(); err != nil {
					yield(nil, err)
				}
				return
			case <-s.client.Done():
				yield(nil, arpc.ErrStopped)
				return
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
	}
}

// end makes the subscription one that is over, and says whether it was not.
func (s *Subscription) end(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.over, s.err = true, err
	close(s.done)
	return true
}

func (s *Subscription) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// begun reports whether the server has once said where the subscription is.
func (s *Subscription) begun() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

func (s *Subscription) readyLocked() {
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// isLost reports whether the server has once said where the subscription is, and
// is to be asked for it on this connection. Until then it is first that subscribes.
func (s *Subscription) isLost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun() && !s.live
}

func (s *Subscription) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// isWhole reports whether the server pushes and nothing is missing.
func (s *Subscription) isWhole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live && !s.hole
}

// lost says that the connection is another: what was asked on the one before may
// have been answered, and the answer may be gone.
func (s *Subscription) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live, s.hole, s.awaiting = false, false, 0
}

// answered takes the answer to a request, in order with the pushes behind it. One
// to a request that was given up, or made on another connection, is none.
func (s *Subscription) answered(a *feed.Answer, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq != 0 && s.awaiting == seq {
		s.awaiting = 0
		s.placeLocked(a)
	}
}

// welcomed takes the answer in a hello, on the goroutine that reads the connection.
func (s *Subscription) welcomed(a *feed.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placeLocked(a)
}

// placeLocked goes on where the server says.
func (s *Subscription) placeLocked(a *feed.Answer) {
	s.live, s.hole = true, false
	if !s.aheadLocked(a) {
		if !a.Recovered {
			s.missedLocked(a.Epoch, a.Offset)
		}
		s.epoch, s.offset, s.placed = a.Epoch, a.Offset, true
	}
	if a.Members != nil {
		var members []Member
		_ = json.Unmarshal(a.Members, &members) // a server that sends something else has no members
		s.setMembersLocked(members, a.Version)
	}
	s.readyLocked()
}

// aheadLocked says that since the request more was handled, of what the last
// connection had brought, than where the answer is.
func (s *Subscription) aheadLocked(a *feed.Answer) bool {
	forward := a.Recovered || a.Offset > s.asked
	return s.placed && s.epoch == a.Epoch && s.offset >= a.Offset && forward
}

// missedLocked remembers to tell that everything up to an offset is gone.
func (s *Subscription) missedLocked(epoch string, offset uint64) {
	gap := Gap{Epoch: epoch, From: offset + 1}
	if s.placed && epoch == s.epoch && offset > s.offset {
		gap.Missed = offset - s.offset
	}
	s.gaps = append(s.gaps, gap)
	go s.tell() // in case that nothing comes which would
}

// tell calls OnGap for what it was not told.
func (s *Subscription) tell() {
	s.calling.Lock()
	defer s.calling.Unlock()
	s.tellCalling()
}

func (s *Subscription) tellCalling() {
	s.mu.Lock()
	gaps := s.gaps
	s.gaps = nil
	s.mu.Unlock()
	if s.o.onGap != nil {
		for _, g := range gaps {
			s.o.onGap(g)
		}
	}
}

// push hands a publication to the application, if it is the next one.
func (s *Subscription) push(m *Message) {
	s.calling.Lock()
	defer s.calling.Unlock()
	base := !s.client.knowsPositions()
	s.mu.Lock()
	next := s.expectsLocked(m, base)
	m.Epoch = s.epoch
	s.mu.Unlock()
	if !next {
		return
	}
	s.tellCalling()
	s.handler(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.placed && s.epoch == m.Epoch && m.Offset == s.offset+1 {
		s.offset = m.Offset
	}
}

// expectsLocked says whether a publication is the next one. If some are missing
// before it, the subscription begins again where it is. What a base server pushes
// counts before its answer was looked at, which happens on another goroutine.
func (s *Subscription) expectsLocked(m *Message, base bool) bool {
	switch {
	case s.over:
		return false
	case m.Offset == 0 || !s.placed && (s.live || base): // to one, or of a base server
		return true
	case !s.placed || s.awaiting != 0 || s.hole || m.Offset <= s.offset:
		return false
	case m.Offset == s.offset+1:
		return true
	}
	s.hole = true
	go s.again()
	return false
}

// ended is the end by the server.
func (s *Subscription) ended(err error) {
	if !s.client.end(s, err) {
		return
	}
	if s.o.onEnd != nil {
		s.calling.Lock()
		defer s.calling.Unlock()
		s.o.onEnd(err)
	}
}

func (s *Subscription) setMembersLocked(members []Member, version uint64) {
	s.members, s.version = map[string]Member{}, version
	for _, m := range members {
		s.members[m.ID] = m
	}
}

// changed takes a change of the members.
func (s *Subscription) changed(m broker.Member, here bool, version uint64) {
	s.calling.Lock()
	defer s.calling.Unlock()
	s.mu.Lock()
	news := version > s.version && s.members != nil && !s.over
	if news {
		s.version = version
		delete(s.members, m.ID)
		if here {
			s.members[m.ID] = m
		}
	}
	s.mu.Unlock()
	if news && s.o.onJoin != nil {
		s.o.onJoin(m, here)
	}
}
