package checker_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
)

// history makes a run in which every promise is kept: topics with two epochs,
// publishers, some of whose publications were never acknowledged, and
// subscribers that begin anywhere, miss something and are told so.
func history(random *rand.Rand) checker.Run {
	const perEpoch = 30
	var run checker.Run
	topics := []string{"a", "b", "c"}
	type entry struct {
		epoch   string
		offset  uint64
		payload string
	}
	logs := map[string][]entry{}
	for _, topic := range topics {
		var n [3]int
		for _, epoch := range []string{"first", "second"} {
			for offset := uint64(1); offset <= perEpoch; offset++ {
				p := random.IntN(len(n))
				n[p]++
				payload := fmt.Sprint(topic, " ", p, " ", n[p])
				run.Published = append(run.Published, checker.Publication{
					Topic: topic, Publisher: fmt.Sprint("p", p), N: n[p], Payload: payload,
					Acked: random.IntN(10) > 0, Epoch: epoch, Offset: offset,
				})
				logs[topic] = append(logs[topic], entry{epoch, offset, payload})
			}
		}
	}
	for i := range 4 {
		s := checker.Subscriber{Name: fmt.Sprint("s", i), Complete: map[string]uint64{}}
		forbidden := topics[random.IntN(len(topics))]
		s.May = func(topic string) bool { return topic != forbidden }
		var lists [][]checker.Event
		for _, topic := range topics {
			if topic == forbidden {
				continue
			}
			s.Complete[topic] = perEpoch
			from := random.IntN(perEpoch)
			events := []checker.Event{{Kind: checker.Started, Topic: topic, Epoch: "first", Offset: uint64(from)}}
			skipFrom := from + random.IntN(perEpoch-from)
			for at := from; at < 2*perEpoch; at++ {
				e := logs[topic][at]
				if at == perEpoch {
					events = append(events, checker.Event{Kind: checker.Epoch, Topic: topic, Epoch: e.epoch})
				}
				if at == skipFrom && at+3 < perEpoch {
					at += 3
					events = append(events, checker.Event{Kind: checker.Gap, Topic: topic, Epoch: e.epoch, Offset: uint64(at)})
					e = logs[topic][at]
				}
				events = append(events, checker.Event{Kind: checker.Message, Topic: topic, Epoch: e.epoch, Offset: e.offset, Payload: e.payload})
			}
			lists = append(lists, events)
		}
		for len(lists) > 0 { // topics are independent of each other
			which := random.IntN(len(lists))
			s.Events = append(s.Events, lists[which][0])
			if lists[which] = lists[which][1:]; len(lists[which]) == 0 {
				lists = slices.Delete(lists, which, which+1)
			}
		}
		run.Subscribers = append(run.Subscribers, s)
	}
	return run
}

func TestCleanHistoriesRaiseNoAlarm(t *testing.T) {
	for seed := range uint64(1000) {
		if found := checker.Check(history(rand.New(rand.NewPCG(seed, 0)))); found != nil {
			t.Fatalf("seed %d: %v", seed, found)
		}
	}
}

// fault spoils what a subscriber was told, at the i-th message.
type fault struct {
	rules []string
	spoil func(s *checker.Subscriber, i int)
}

var faults = map[string]fault{
	"drop": {[]string{"R6", "R4"}, func(s *checker.Subscriber, i int) { s.Events = slices.Delete(s.Events, i, i+1) }},
	"swap": {[]string{"R1"}, func(s *checker.Subscriber, i int) {
		for j := i + 1; j < len(s.Events); j++ {
			if s.Events[j].Topic == s.Events[i].Topic && s.Events[j].Kind == checker.Message {
				s.Events[i], s.Events[j] = s.Events[j], s.Events[i]
				return
			}
		}
		s.Events = slices.Insert(s.Events, i, s.Events[i]) // it is the last: at least twice
	}},
	"duplicate": {[]string{"R5"}, func(s *checker.Subscriber, i int) { s.Events = slices.Insert(s.Events, i, s.Events[i]) }},
	"phantom":   {[]string{"R5"}, func(s *checker.Subscriber, i int) { s.Events[i].Payload = "nobody's" }},
	"wrong topic": {[]string{"R5"}, func(s *checker.Subscriber, i int) {
		for _, e := range s.Events {
			if e.Kind == checker.Message && e.Topic != s.Events[i].Topic {
				s.Events[i].Payload = e.Payload
				return
			}
		}
	}},
	"unsignalled gap": {[]string{"R6"}, func(s *checker.Subscriber, i int) {
		at := s.Events[i]
		s.Events = slices.Insert(s.Events, i, checker.Event{Kind: checker.Message, Topic: at.Topic, Epoch: at.Epoch, Offset: at.Offset + 5, Payload: at.Payload})
	}},
	"cross-epoch": {[]string{"R7"}, func(s *checker.Subscriber, i int) { s.Events[i].Epoch = "third" }},
	"forbidden": {[]string{"R8"}, func(s *checker.Subscriber, i int) {
		topic := s.Events[i].Topic
		s.May = func(t string) bool { return t != topic }
	}},
}

func TestEveryFaultIsFound(t *testing.T) {
	for name, f := range faults {
		for seed := range uint64(200) {
			random := rand.New(rand.NewPCG(seed, 1))
			run := history(random)
			s := &run.Subscribers[random.IntN(len(run.Subscribers))]
			var messages []int
			for i, e := range s.Events {
				if e.Kind == checker.Message && acked(&run, e) && followed(s.Events[i:]) {
					messages = append(messages, i)
				}
			}
			f.spoil(s, messages[random.IntN(len(messages))])
			found := checker.Check(run)
			if !slices.ContainsFunc(found, func(v checker.Violation) bool {
				return v.Subscriber == s.Name && slices.Contains(f.rules, v.Rule)
			}) {
				t.Fatalf("%s, seed %d: not found among %v", name, seed, found)
			}
		}
	}
}

// followed says that the first event is not the last before a gap or another
// epoch: what is told there covers what is missing in front of it.
func followed(events []checker.Event) bool {
	for _, e := range events[1:] {
		if e.Topic == events[0].Topic {
			return e.Kind == checker.Message
		}
	}
	return true
}

// acked says that a publication was acknowledged: what was not may be missing.
func acked(run *checker.Run, e checker.Event) bool {
	return slices.ContainsFunc(run.Published, func(p checker.Publication) bool { return p.Payload == e.Payload && p.Acked })
}

func TestPublishersOwnOrder(t *testing.T) {
	found := checker.Check(checker.Run{Published: []checker.Publication{
		{Topic: "t", Publisher: "p", N: 1, Payload: "one", Acked: true, Epoch: "e", Offset: 2},
		{Topic: "t", Publisher: "p", N: 2, Payload: "two", Acked: true, Epoch: "e", Offset: 1},
	}})
	if len(found) != 1 || found[0].Rule != "R3" {
		t.Errorf("found %v", found)
	}
}

func TestOneOffsetHasOneMeaning(t *testing.T) {
	told := func(name, payload string) checker.Subscriber {
		return checker.Subscriber{Name: name, Events: []checker.Event{
			{Kind: checker.Started, Topic: "t", Epoch: "e"},
			{Kind: checker.Message, Topic: "t", Epoch: "e", Offset: 1, Payload: payload},
		}}
	}
	found := checker.Check(checker.Run{
		Published: []checker.Publication{
			{Topic: "t", Publisher: "p", N: 1, Payload: "one"},
			{Topic: "t", Publisher: "p", N: 2, Payload: "two"},
		},
		Subscribers: []checker.Subscriber{told("a", "one"), told("b", "two")},
	})
	if len(found) != 1 || found[0].Rule != "R2" {
		t.Errorf("found %v", found)
	}
}
