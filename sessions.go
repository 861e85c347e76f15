package arpc

import (
	"container/list"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxForgotten is how many ends of sessions are remembered, so that who comes too
// late is told so.
const maxForgotten = 1024

// sessions are those that clients of a Handler may take up again: by id, and those
// without a connection in the order in which they lost it.
type sessions struct {
	mu         sync.Mutex // taken before session.mu, never under it
	all        map[sessionID]*session
	waiting    *list.List             // of parked sessions, the oldest first
	identities map[string]*list.List  // of those, by whose they are
	addresses  map[string]*list.List  // and by where they came from
	expired    map[sessionID]struct{} // those that waited in vain
	order      []sessionID            // of expired, a ring
	next       int                    // place in it
	timer      *time.Timer            // for the oldest

	held      atomic.Int64 // bytes in the journals of those that are parked
	relieving atomic.Bool  // somebody looks after that
}

// parking is the place of a session that waits for its client.
type parking struct {
	place, byIdentity, byAddress *list.Element
	identity, address            string
	since                        time.Time
}

// add makes a session one that can be taken up.
func (r *sessions) add(s *session, l *lasting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[sessionID]*session{}
		r.waiting = list.New()
		r.identities, r.addresses = map[string]*list.List{}, map[string]*list.List{}
		r.expired = map[sessionID]struct{}{}
	}
	r.all[l.id] = s
}

// find is the session of an id; late says that there was one and it expired.
func (r *sessions) find(id sessionID) (s *session, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, late = r.expired[id]
	return r.all[id], late
}

// forget is called at the end of a session.
func (r *sessions) forget(s *session, l *lasting, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[l.id] != s {
		return
	}
	delete(r.all, l.id)
	r.unparkLocked(l)
	if cause == errExpired || cause == errEvicted {
		r.rememberLocked(l.id)
	}
}

func (r *sessions) rememberLocked(id sessionID) {
	if len(r.order) < maxForgotten {
		r.order = append(r.order, id)
	} else {
		delete(r.expired, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % maxForgotten
	}
	r.expired[id] = struct{}{}
}

// errEvicted is why sessions end that have to make room for others.
var errEvicted = &Error{Code: CodeResourceExhausted, Message: "sessions that wait for their clients take too much room"}

// park has a session wait for its client, and ends those that there are too many
// of: of the same identity, of the same address, and then of all, the oldest. Then
// it ends those that hold too much.
func (r *sessions) park(s *session, l *lasting, address string) {
	identity := ""
	if who := s.client.Identity(); who != nil {
		identity = who.ID
	}
	r.mu.Lock()
	// Somebody may have taken it already, and even given it back and been faster.
	if !s.isParked(l) || r.all[l.id] != s || l.wait != nil {
		r.mu.Unlock()
		return
	}
	l.wait = &parking{
		place:      r.waiting.PushBack(s),
		byIdentity: pushTo(r.identities, identity, s),
		byAddress:  pushTo(r.addresses, address, s),
		identity:   identity,
		address:    address,
		since:      time.Now(),
	}
	l.journal.park(&r.held)
	victim := r.victimLocked(s.limits, l.wait)
	if victim != nil {
		r.unparkLocked(victim.lasting.Load())
	}
	r.armLocked()
	r.mu.Unlock()
	if victim != nil {
		victim.expire(errEvicted)
	}
	r.relieve(s.limits)
}

// relieve ends those that hold most while all together hold too much. So whoever
// holds less than its share, an equal part of the bound for each that waits, stays:
// nobody can fill the journals at the cost of others.
func (r *sessions) relieve(limits *Limits) {
	for s := r.heaviest(limits); s != nil; s = r.heaviest(limits) {
		s.expire(errEvicted)
	}
}

// relieveSoon is relieve for those who send, and who may hold locks that the end of
// a session takes.
func (r *sessions) relieveSoon(limits *Limits) {
	if r.overfull(limits) && r.relieving.CompareAndSwap(false, true) {
		go func() {
			r.relieve(limits)
			r.relieving.Store(false)
			r.relieveSoon(limits) // if more was kept before that
		}()
	}
}

func (r *sessions) overfull(limits *Limits) bool { return r.held.Load() > int64(limits.ParkedBytes) }

// heaviest takes the session out of those that are parked that holds most, and of
// several the oldest; nil if there is room.
func (r *sessions) heaviest(limits *Limits) (s *session) {
	if !r.overfull(limits) { // nearly always
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.overfull(limits) {
		return nil
	}
	most := 0
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		one := e.Value.(*session)
		if held := one.lasting.Load().journal.held(); held > most {
			s, most = one, held
		}
	}
	if s != nil {
		r.unparkLocked(s.lasting.Load())
	}
	return s
}

func (s *session) isParked(l *lasting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.state == parked && s.cause == nil
}

// pushTo adds a session to a list of a map; "" has none.
func pushTo(lists map[string]*list.List, key string, s *session) *list.Element {
	if key == "" {
		return nil
	}
	if lists[key] == nil {
		lists[key] = list.New()
	}
	return lists[key].PushBack(s)
}

// victimLocked is the session that one more is too many for.
func (r *sessions) victimLocked(limits *Limits, last *parking) *session {
	for _, held := range []struct {
		in    *list.List
		limit int
	}{
		{r.identities[last.identity], limits.ParkedPerIdentity},
		{r.addresses[last.address], limits.ParkedPerAddress},
	} {
		if held.in != nil && held.in.Len() > held.limit {
			return held.in.Front().Value.(*session)
		}
	}
	if r.waiting.Len() <= limits.Parked {
		return nil
	}
	if own := r.identities[last.identity]; own != nil && own.Len() > 1 {
		return own.Front().Value.(*session)
	}
	return r.waiting.Front().Value.(*session)
}

// unpark is called when a session is taken up.
func (r *sessions) unpark(l *lasting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unparkLocked(l)
}

func (r *sessions) unparkLocked(l *lasting) {
	w := l.wait
	if w == nil {
		return
	}
	r.waiting.Remove(w.place)
	removeFrom(r.identities, w.identity, w.byIdentity)
	removeFrom(r.addresses, w.address, w.byAddress)
	l.wait = nil
	l.journal.unpark(&r.held)
	r.armLocked()
}

func removeFrom(lists map[string]*list.List, key string, e *list.Element) {
	if e == nil {
		return
	}
	lists[key].Remove(e)
	if lists[key].Len() == 0 {
		delete(lists, key)
	}
}

// armLocked sets the timer for the oldest.
func (r *sessions) armLocked() {
	oldest := r.waiting.Front()
	switch {
	case oldest == nil && r.timer != nil:
		r.timer.Stop()
		r.timer = nil
	case oldest != nil && r.timer == nil:
		r.timer = time.AfterFunc(max(0, oldest.Value.(*session).expiresIn()), r.expire)
	}
}

// expiresIn is for how long a parked session still waits. The lock of the sessions
// is held.
func (s *session) expiresIn() time.Duration {
	return s.limits.Grace - time.Since(s.lasting.Load().wait.since)
}

// expire ends the sessions that waited long enough.
func (r *sessions) expire() {
	for s := r.nextExpired(); s != nil; s = r.nextExpired() {
		s.expire(errExpired)
	}
}

func (r *sessions) nextExpired() *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	oldest := r.waiting.Front()
	if oldest == nil {
		return nil
	}
	s := oldest.Value.(*session)
	if s.expiresIn() <= 0 {
		r.unparkLocked(s.lasting.Load())
		return s
	}
	r.armLocked()
	return nil
}

// Parked is how many sessions of clients wait for their next connection.
func (h *Handler) Parked() int { return h.sessions.parked() }

// ParkedBytes is how many bytes the journals of those hold; see Limits.ParkedBytes.
func (h *Handler) ParkedBytes() int { return int(h.sessions.held.Load()) }

func (r *sessions) parked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		return 0
	}
	return r.waiting.Len()
}

// host is where a connection came from, without the port.
func host(a net.Addr) string {
	if a == nil {
		return ""
	}
	address := a.String()
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
