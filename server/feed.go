package server

import (
	"encoding/json"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// topics is the capability that broadcasts with a position belong to.
const topics = "topics"

// broadcasts is the log of what is broadcast. Every client that was admitted has
// a place in it, so that one which reads slowly lags and holds up nobody, and
// one which comes back says where it was. Before the first broadcast the place of
// all is the beginning, and nothing is held for it.
type broadcasts struct {
	log       *topic.Log
	appending sync.Mutex // puts entries in order

	mu      sync.Mutex // guards what follows
	clients map[*arpc.Client]*feed.Subscription
	away    map[*arpc.Client]struct{} // without a connection, which have no place
	begun   bool                      // there was a broadcast
}

func newBroadcasts(h *arpc.Handler, history topic.Limits) *broadcasts {
	b := &broadcasts{log: topic.NewLog(history), clients: map[*arpc.Client]*feed.Subscription{}, away: map[*arpc.Client]struct{}{}}
	b.log.WakeTogether(feed.Together(h))
	h.Extend(arpc.Extension{Capability: topics, Welcome: b.welcome, Paused: b.leave, Resumed: b.comeBack})
	return b
}

// audience is whom an entry is for.
type audience map[*arpc.Client]struct{}

// place is how many bytes of memory somebody in an audience takes, about.
const place = 32

func (b *broadcasts) options(c *arpc.Client, events bool) feed.Options {
	return feed.Options{Events: events, Hides: func(tag any) bool {
		only, limited := tag.(audience)
		if !limited {
			return false
		}
		_, in := only[c]
		return !in
	}}
}

// begin gives those that were admitted before the first broadcast their places,
// each time but once there is nothing to do. Whoever calls it keeps others from
// being admitted meanwhile.
func (b *broadcasts) begin(admitted map[*arpc.Client]struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return
	}
	b.begun = true
	for c := range admitted {
		b.addLocked(c)
	}
}

// add gives a client that was admitted a place behind the newest entry.
func (b *broadcasts) add(c *arpc.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		b.addLocked(c)
	}
}

// leave takes the place of a client whose connection was lost, until it comes back.
func (b *broadcasts) leave(c *arpc.Client) {
	b.remove(c)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away[c] = struct{}{}
}

func (b *broadcasts) comeBack(c *arpc.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.away, c)
	if b.begun {
		b.addLocked(c)
	}
}

// addLocked leaves a client where it said it was, and one that is away without a place.
func (b *broadcasts) addLocked(c *arpc.Client) {
	if _, away := b.away[c]; away || b.clients[c] != nil {
		return
	}
	_, last := b.log.Bounds()
	s := feed.Subscribe(c, b.log, last, b.options(c, false))
	b.clients[c] = s
	s.Start()
}

// replace sets the place of a client, and returns the one it had.
func (b *broadcasts) replace(c *arpc.Client, s *feed.Subscription) (old *feed.Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old = b.clients[c]
	b.clients[c] = s
	return old
}

func (b *broadcasts) remove(c *arpc.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.away, c)
	if s := b.clients[c]; s != nil {
		s.Close()
		delete(b.clients, c)
	}
}

// welcome takes the topics of a hello: its own is "", and others there are none.
func (b *broadcasts) welcome(c *arpc.Client, said json.RawMessage) (answer any, then func()) {
	var asked []feed.Request
	if said == nil {
		return nil, nil
	}
	if err := json.Unmarshal(said, &asked); err != nil {
		return nil, nil
	}
	answers := make([]any, len(asked))
	for i := range asked {
		if asked[i].Topic != "" {
			answers[i] = feed.Refuse(arpc.Errorf(arpc.CodeNotFound, "there are no topics here"))
			continue
		}
		answers[i], then = b.greet(c, &asked[i])
	}
	return answers, then
}

// greet puts a client where it says it was.
func (b *broadcasts) greet(c *arpc.Client, r *feed.Request) (answer feed.Answer, then func()) {
	first, last := b.log.Bounds()
	answer = r.Place(feed.State{Epoch: b.log.Epoch(), First: first, Last: last})
	s := feed.Subscribe(c, b.log, answer.Offset, b.options(c, true))
	if old := b.replace(c, s); old != nil {
		old.Close()
	}
	return answer, s.Start
}
