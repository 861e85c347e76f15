package cuts_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

// The topics of the chaos: what is published to all, and what to one of them.
const (
	topicAll = "all"
	topicOne = "one"
)

// A publisher is a client or the server.
type publisher interface {
	Publish(topic string, v any, opts ...pubsub.PublishOption) (pubsub.Position, error)
	PublishToOne(topic string, v any) error
}

// publications are what was published, by everybody.
type publications struct {
	mu sync.Mutex // guards what follows
	checker.Run
}

func newPublications() *publications { return &publications{} }

func (p *publications) add(publication checker.Publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Published = append(p.Published, publication)
}

// newest is the offset of the last.
func (p *publications) newest() (offset uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.Published {
		offset = max(offset, one.Offset)
	}
	return offset
}

// publishing publishes, without keys: what sessions carry comes once all the same.
func (x *chaos) publishing(who string, to publisher, into *publications) {
	n := 0
	x.keepOn(who+" publication", func(id string, r *rand.Rand) {
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) // everybody gets each
		if r.IntN(2) == 0 {
			x.publishToOne(to, id)
			return
		}
		at, err := to.Publish(topicAll, id)
		if err != nil {
			x.complain("publish %s: %v", id, err)
			return
		}
		into.add(checker.Publication{Topic: topicAll, Publisher: who, N: n, Payload: id, Acked: true, Epoch: at.Epoch, Offset: at.Offset})
		n++
	})
}

// publishToOne publishes what one subscriber handles. It may be that nobody is
// there at the moment.
func (x *chaos) publishToOne(to publisher, id string) {
	x.ask(id)
	var err error
	arpctest.Within(patience, func() bool {
		var coded *arpc.Error
		err = to.PublishToOne(topicOne, id)
		return !errors.As(err, &coded) || coded.Code != arpc.CodeNotFound
	})
	x.answer(id, "", "", err)
}

// A witness writes down what a subscriber gets.
type witness struct {
	mu           sync.Mutex // guards record
	record       checker.Subscriber
	subscription *pubsub.Subscription
}

// follow subscribes a client to both topics.
func (x *chaos) follow(t *testing.T, c *pubsub.Client, name string) *witness {
	t.Helper()
	w := &witness{record: checker.Subscriber{Name: name}}
	var err error
	w.mu.Lock() // it begins with where it begins
	defer w.mu.Unlock()
	w.subscription, err = c.Subscribe(topicAll, func(m *pubsub.Message) {
		w.add(checker.Event{Kind: checker.Message, Topic: m.Topic, Epoch: m.Epoch, Offset: m.Offset, Payload: string(m.Data.Data)})
	}, pubsub.OnGap(func(g pubsub.Gap) { x.complain("%s was told of %+v", name, g) }))
	if err != nil {
		t.Fatal(err)
	}
	at := w.subscription.Position()
	w.record.Events = []checker.Event{{Kind: checker.Started, Topic: topicAll, Epoch: at.Epoch, Offset: at.Offset}}
	if _, err := c.Subscribe(topicOne, func(m *pubsub.Message) { x.handle(string(m.Data.Data)) }); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *witness) add(e checker.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.Events = append(w.record.Events, e)
}

// report waits until all that was published has come.
func (w *witness) report(t *testing.T, all *publications) checker.Subscriber {
	t.Helper()
	newest := all.newest()
	last := func() checker.Subscriber {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.record
	}
	if !arpctest.Within(patience, func() bool { s := last(); return s.Events[len(s.Events)-1].Offset >= newest }) {
		t.Errorf("%s has not got all %d publications", w.record.Name, newest)
	}
	s := last()
	s.Complete = map[string]uint64{topicAll: newest}
	return s
}
