// Package checker says from what was published and what was delivered whether a
// pub/sub system kept its promises. Check is a pure function over the logs of a
// run; who writes them is not its affair.
//
// The rules:
//
//	R1  a subscriber gets the offsets of a topic and epoch in rising order
//	R2  an offset of a topic and epoch carries the same everywhere
//	R3  what one publisher published one after the other has rising offsets
//	R4  what was acknowledged reaches every subscriber that was there for it
//	R5  nothing arrives that was not published in that topic, and nothing twice
//	R6  every gap is signalled, once, and where it is
//	R7  another epoch is signalled, once, before its first publication
//	R8  nothing arrives without permission
package checker

import (
	"cmp"
	"fmt"
	"slices"
)

// Publication is what a publisher did.
type Publication struct {
	// Topic is where it was published, Publisher by whom, and N which of the
	// publisher's it was, rising within a topic.
	Topic, Publisher string
	N                int
	// Payload is what it carried, unlike any other.
	Payload string
	// Acked says that the publisher was told the position: Epoch and Offset.
	// Without it the publication may be there or not.
	Acked  bool
	Epoch  string
	Offset uint64
}

// Kind is what a subscriber was told.
type Kind string

// The kinds.
const (
	Started Kind = "started" // the position before the first push: Epoch and Offset
	Message Kind = "message" // a publication
	Gap     Kind = "gap"     // what is before Offset+1 is gone, in the epoch it has
	Epoch   Kind = "epoch"   // a new epoch begins behind Offset
)

// Event is one thing that a subscriber handed to its application.
type Event struct {
	Kind    Kind
	Topic   string
	Epoch   string
	Offset  uint64
	Payload string
}

// Subscriber is everything that one was told, in order.
type Subscriber struct {
	Name   string
	Events []Event
	// May says which topics it has the permission for; nil is all.
	May func(topic string) bool
	// Complete are the topics of which it was there to the end, with the
	// newest offset of each.
	Complete map[string]uint64
}

// Run is what happened.
type Run struct {
	Published   []Publication
	Subscribers []Subscriber
}

// Violation is a promise that was not kept.
type Violation struct {
	Rule       string
	Subscriber string
	What       string
}

func (v Violation) String() string { return v.Rule + " " + v.Subscriber + ": " + v.What }

// Check returns everything that is wrong with a run, nothing if all is well.
func Check(r Run) []Violation {
	c := &check{payloads: map[string]Publication{}, carried: map[place]string{}}
	c.publications(r.Published)
	for i := range r.Subscribers {
		c.subscriber(&r.Subscribers[i])
	}
	return c.found
}

type place struct {
	topic, epoch string
	offset       uint64
}

type check struct {
	payloads map[string]Publication // what was published, by what it carries
	carried  map[place]string       // what is where, as first seen
	acked    []Publication
	found    []Violation
}

func (c *check) wrong(rule, who, format string, args ...any) {
	c.found = append(c.found, Violation{rule, who, fmt.Sprintf(format, args...)})
}

// publications reads what was published, and checks R2 and R3 among it.
func (c *check) publications(all []Publication) {
	type stream struct{ topic, publisher, epoch string }
	byPublisher := map[stream][]Publication{}
	for _, p := range all {
		c.payloads[p.Payload] = p
		if !p.Acked {
			continue
		}
		c.carries(place{p.Topic, p.Epoch, p.Offset}, p.Payload, p.Publisher)
		c.acked = append(c.acked, p)
		s := stream{p.Topic, p.Publisher, p.Epoch}
		byPublisher[s] = append(byPublisher[s], p)
	}
	for s, list := range byPublisher {
		slices.SortFunc(list, func(a, b Publication) int { return cmp.Compare(a.N, b.N) })
		for i := 1; i < len(list); i++ {
			if list[i].Offset <= list[i-1].Offset {
				c.wrong("R3", s.publisher, "%d in %s is at %d, after %d at %d", list[i].N, s.topic, list[i].Offset, list[i-1].N, list[i-1].Offset)
			}
		}
	}
}

// carries checks R2.
func (c *check) carries(at place, payload, who string) {
	before, seen := c.carried[at]
	if !seen {
		c.carried[at] = payload
	} else if before != payload {
		c.wrong("R2", who, "%v carries %q, and elsewhere %q", at, payload, before)
	}
}

// reading is where a subscriber is in one topic.
type reading struct {
	epoch   string
	offset  uint64
	begins  uint64 // behind which it began, in this epoch
	got     map[uint64]bool
	gone    []span // what it was told is gone
	started bool
}

type span struct{ after, upTo uint64 }

func (c *check) subscriber(s *Subscriber) {
	topics := map[string]*reading{}
	seen := map[string]bool{}
	for _, e := range s.Events {
		at := topics[e.Topic]
		if at == nil {
			at = &reading{}
			topics[e.Topic] = at
		}
		if e.Kind == Message {
			c.message(s, at, e, seen)
		} else {
			c.told(s, at, e)
		}
	}
	c.complete(s, topics)
}

// told takes where a subscriber was told it is.
func (c *check) told(s *Subscriber, at *reading, e Event) {
	switch e.Kind {
	case Started:
		*at = reading{epoch: e.Epoch, offset: e.Offset, begins: e.Offset, got: map[uint64]bool{}, started: true}
		return
	case Epoch:
		if e.Epoch == at.epoch {
			c.wrong("R7", s.Name, "%s: epoch %s is signalled again", e.Topic, e.Epoch)
		}
		*at = reading{epoch: e.Epoch, offset: e.Offset, begins: e.Offset, got: map[uint64]bool{}, started: true}
		return
	}
	if e.Epoch != at.epoch || e.Offset <= at.offset {
		c.wrong("R6", s.Name, "%s: a gap up to %s %d is signalled at %s %d", e.Topic, e.Epoch, e.Offset, at.epoch, at.offset)
		return
	}
	at.gone = append(at.gone, span{at.offset, e.Offset})
	at.offset = e.Offset
}

// message checks one delivery.
func (c *check) message(s *Subscriber, at *reading, e Event, seen map[string]bool) {
	if s.May != nil && !s.May(e.Topic) {
		c.wrong("R8", s.Name, "%q arrived in %s", e.Payload, e.Topic)
	}
	p, published := c.payloads[e.Payload]
	switch {
	case !published:
		c.wrong("R5", s.Name, "%s %d: %q was never published", e.Topic, e.Offset, e.Payload)
	case p.Topic != e.Topic:
		c.wrong("R5", s.Name, "%s %d: %q was published in %s", e.Topic, e.Offset, e.Payload, p.Topic)
	case seen[e.Payload]:
		c.wrong("R5", s.Name, "%s %d: %q came twice", e.Topic, e.Offset, e.Payload)
	}
	seen[e.Payload] = true
	c.carries(place{e.Topic, e.Epoch, e.Offset}, e.Payload, s.Name)
	if !at.started || e.Epoch != at.epoch {
		c.wrong("R7", s.Name, "%s: %q is of epoch %s, known is %q", e.Topic, e.Payload, e.Epoch, at.epoch)
		return
	}
	switch {
	case e.Offset <= at.offset:
		c.wrong("R1", s.Name, "%s: offset %d after %d", e.Topic, e.Offset, at.offset)
	case e.Offset > at.offset+1:
		c.wrong("R6", s.Name, "%s: offset %d after %d", e.Topic, e.Offset, at.offset)
	}
	at.offset = max(at.offset, e.Offset)
	at.got[e.Offset] = true
}

// complete checks R4: what was acknowledged while a subscriber was there has come,
// or it was told that it is gone.
func (c *check) complete(s *Subscriber, topics map[string]*reading) {
	for topic, newest := range s.Complete {
		at := topics[topic]
		if at == nil {
			c.wrong("R4", s.Name, "%s never began", topic)
			continue
		}
		for _, p := range c.acked {
			if p.Topic == topic && p.Epoch == at.epoch && p.Offset > at.begins && p.Offset <= newest && !at.has(p.Offset) {
				c.wrong("R4", s.Name, "%s: offset %d, %q, never came", topic, p.Offset, p.Payload)
			}
		}
	}
}

func (r *reading) has(offset uint64) bool {
	if r.got[offset] {
		return true
	}
	return slices.ContainsFunc(r.gone, func(g span) bool { return g.after < offset && offset <= g.upTo })
}
