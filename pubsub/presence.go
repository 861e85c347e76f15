package pubsub

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"

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
			s.Follow(p.changes, c.Version-1)
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
func (r *room) supplyRoster(s *feed.Subscription, what feed.Range) {
	r.hub.work(func() {
		for {
			ctx, cancel := r.hub.within()
			roster, err := r.hub.broker.Members(ctx, r.name)
			cancel()
			if err == nil {
				event := feed.Event{Topic: r.name, Event: feed.Members, Members: roster.Members, Version: roster.Version}
				s.Supply(what, what.Epoch, []topic.Entry{{Offset: what.UpTo, Data: event.Frame()}})
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
	s.member, s.holder = m.ID, rand.Text() // before the broker says yes, which may get lost
	b := s.room.hub.broker
	if err := b.Enter(ctx, s.room.name, m, s.holder); err != nil {
		return shown(err, errBroker)
	}
	roster, err := b.Members(ctx, s.room.name)
	if err != nil {
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
	if !utf8.Valid(r.Info) { // others get it as it is
		return arpc.Errorf(arpc.CodeInvalidArgument, "info is not valid UTF-8")
	}
	r.Info = bytes.TrimSpace(r.Info)
	return nil
}
