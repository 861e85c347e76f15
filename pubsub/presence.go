package pubsub

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// Member is somebody who shows being subscribed to a topic.
type Member = broker.Member

// MaxInfo is the longest JSON that a member says of itself, and maxSecret the
// longest secret that it is known by.
const (
	MaxInfo   = 4 << 10
	maxSecret = 64
)

// changesHeld is how many changes of members a room keeps for those who lag.
// They get the whole roster if that is not enough.
const changesHeld = 256

// presence is what a room knows of its members: changes, as a log whose offsets
// are versions. It belongs to the room and its lock.
type presence struct {
	room    *room
	changes *topic.Log // nil before the first
	watches map[*feed.Subscription]struct{}
}

// changedLocked takes a change. If others were lost before it, those who watch get
// the whole roster.
func (p *presence) changedLocked(c broker.Change) {
	if p.changes == nil {
		p.changes = p.newLog(c.Version - 1)
	}
	_, last := p.changes.Bounds()
	if c.Version <= last {
		return
	}
	if c.Version > last+1 {
		p.changes = p.newLog(c.Version - 1)
		for s := range p.watches {
			_, at := s.Position()
			s.Move(p.changes, at, nil)
		}
	}
	event := feed.Event{Topic: p.room.name, Event: feed.Join, Member: c.Member, Version: c.Version}
	if c.Left {
		event.Event = feed.Leave
	}
	p.changes.Append(topic.Entry{Data: event.Frame()})
}

func (p *presence) newLog(version uint64) *topic.Log {
	l := topic.NewLogAt("", version, topic.Limits{Entries: changesHeld})
	l.WakeTogether(feed.Together(p.room.hub.mountedOn()))
	return l
}

// watch tells a client of changes behind a version.
func (r *room) watch(c *arpc.Client, version uint64) *feed.Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.presence
	if p.changes == nil {
		p.changes = p.newLog(version)
	}
	s := feed.Subscribe(c, p.changes, version, feed.Options{Topic: r.name, Older: r.supplyRoster})
	if p.watches == nil {
		p.watches = map[*feed.Subscription]struct{}{}
	}
	p.watches[s] = struct{}{}
	return s
}

func (r *room) unwatch(s *feed.Subscription) {
	s.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.presence.watches, s)
}

// supplyRoster gives the whole roster in place of changes that are gone.
func (r *room) supplyRoster(s *feed.Subscription, _, upTo uint64) {
	r.hub.working.Go(func() {
		for {
			ctx, cancel := r.hub.within()
			roster, err := r.hub.broker.Members(ctx, r.name)
			cancel()
			if err == nil {
				event := feed.Event{Topic: r.name, Event: feed.Members, Members: roster.Members, Version: roster.Version}
				s.Supply([]topic.Entry{{Offset: upTo, Data: event.Frame()}})
				return
			}
			select {
			case <-time.After(loadRetry):
			case <-r.hub.ctx.Done():
				return
			}
		}
	})
}

// show makes the subscriber a member, and tells it who else is.
func (s *subscription) show(ctx context.Context, r *feed.Request, answer *feed.Answer) error {
	c := s.session.client
	m := Member{Info: r.Info, Since: time.Now().UnixMilli()}
	if who := c.Identity(); who != nil {
		m.User = who.ID
	}
	m.ID, s.stays = memberID(m.User, r.Member), r.Member != ""
	holder := rand.Text()
	b := s.room.hub.broker
	if err := b.Enter(ctx, s.room.name, m, holder); err != nil {
		return shown(err, errBroker)
	}
	s.member, s.holder = m.ID, holder
	roster, err := b.Members(ctx, s.room.name)
	if err != nil {
		s.hide()
		return shown(err, errBroker)
	}
	if answer.Members, err = json.Marshal(roster.Members); err != nil {
		return errBroker
	}
	answer.Version = roster.Version
	s.watches = s.room.watch(c, roster.Version)
	return nil
}

// memberID is the public ID of whoever knows a secret, or a new one.
func memberID(user, secret string) string {
	if secret == "" {
		return rand.Text()[:16]
	}
	sum := sha256.Sum256([]byte(user + "\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// checkPresence finds what cannot be right of a member.
func checkPresence(r *feed.Request) error {
	if len(r.Info) > MaxInfo {
		return arpc.Errorf(arpc.CodeInvalidArgument, "info of %d bytes, limit %d", len(r.Info), MaxInfo)
	}
	if len(r.Member) > maxSecret {
		return arpc.Errorf(arpc.CodeInvalidArgument, "member of %d bytes, limit %d", len(r.Member), maxSecret)
	}
	r.Info = bytes.TrimSpace(r.Info)
	return nil
}

// hide ends a membership now.
func (s *subscription) hide() {
	if s.holder == "" {
		return
	}
	h := s.room.hub
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), brokerTimeout)
	defer cancel()
	if err := h.broker.Leave(ctx, s.room.name, s.member, s.holder); err != nil && h.ctx.Err() == nil {
		h.mountedOn().Logger().Warn("arpc: leave a topic", "topic", s.room.name, "member", s.member, "error", err)
	}
}

// leaving are members whose connection was lost, and who may come back.
type leaving struct {
	hub *Hub

	mu     sync.Mutex // guards what follows
	timers map[*subscription]*time.Timer
	closed bool
}

// later ends a membership unless the member comes back in time: then it belongs
// to somebody else. The topic stays until then.
func (l *leaving) later(s *subscription) {
	if s.holder == "" {
		return
	}
	if !s.stays || l.hub.cfg.grace <= 0 || !l.hub.hold(s.room) {
		s.hide()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.timers == nil {
		l.timers = map[*subscription]*time.Timer{}
	}
	l.timers[s] = time.AfterFunc(l.hub.cfg.grace, func() { l.now(s) })
}

func (l *leaving) now(s *subscription) {
	l.mu.Lock()
	_, waits := l.timers[s]
	delete(l.timers, s)
	l.mu.Unlock()
	if waits {
		s.hide()
		l.hub.exit(s.room)
	}
}

// all ends every membership that waits.
func (l *leaving) all() {
	l.mu.Lock()
	l.closed = true
	timers := l.timers
	l.timers = nil
	l.mu.Unlock()
	for s, t := range timers {
		t.Stop()
		s.hide()
	}
}

// hold counts one user more of a room that is there.
func (h *Hub) hold(r *room) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.topics[r.name] != r {
		return false
	}
	r.users++
	r.keepLocked()
	return true
}
