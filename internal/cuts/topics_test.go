package cuts_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/witness"
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

// follow subscribes a client to both topics, and writes down what is published to all.
func (x *chaos) follow(t *testing.T, c *pubsub.Client, name string) *witness.Witness {
	t.Helper()
	w, begun := witness.New(name), make(chan struct{})
	sub, err := c.Subscribe(topicAll, func(m *pubsub.Message) { <-begun; w.Take(m) },
		pubsub.OnGap(func(g pubsub.Gap) { x.complain("%s was told of %+v", name, g) }))
	if err != nil {
		t.Fatal(err)
	}
	at := sub.Position()
	w.Add(checker.Event{Kind: checker.Started, Topic: topicAll, Epoch: at.Epoch, Offset: at.Offset})
	close(begun)
	if _, err := c.Subscribe(topicOne, func(m *pubsub.Message) { x.handle(string(m.Data.Data)) }); err != nil {
		t.Fatal(err)
	}
	return w
}

// heard waits until all that was published has come to a witness.
func heard(t *testing.T, w *witness.Witness, all *publications) checker.Subscriber {
	t.Helper()
	newest := all.newest()
	if !arpctest.Within(patience, func() bool { events := w.Record().Events; return events[len(events)-1].Offset >= newest }) {
		t.Errorf("%s has not got all %d publications", w.Record().Name, newest)
	}
	s := w.Record()
	s.Complete = map[string]uint64{topicAll: newest}
	return s
}
