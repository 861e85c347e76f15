package arpc

import (
	"container/list"
	"net"
	"sync"
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
var errEvicted = &Error{Code: CodeResourceExhausted, Message: "too many sessions wait for their clients"}

// park has a session wait for its client, and ends those that there are too many
// of: of the same identity, of the same address, and then of all, the oldest.
func (r *sessions) park(s *session, l *lasting, address string) {
	identity := ""
	if who := s.client.Identity(); who != nil {
		identity = who.ID
	}
	r.mu.Lock()
	if !s.isParked(l) || r.all[l.id] != s {
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
	victim := r.victimLocked(s.limits, l.wait)
	if victim != nil {
		r.unparkLocked(victim.lasting.Load())
	}
	r.armLocked()
	r.mu.Unlock()
	if victim != nil {
		victim.expire(errEvicted)
	}
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
