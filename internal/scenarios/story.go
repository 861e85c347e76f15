package scenarios

import (
	"fmt"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
)

// Stories are told on streams, part by part, as far as others want: so that a
// test can say what happens between two parts.
type stories struct {
	mu     sync.Mutex
	wanted map[string]chan int // guarded by mu; how many parts more, by the story's name
}

func mountStories(h *arpc.Handler) {
	s := &stories{wanted: map[string]chan int{}}
	h.HandleStream("/story", s.tell)
	h.Handle("/go-on", s.goOn)
}

func (s *stories) of(name string) chan int {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := s.wanted[name]
	if wanted == nil {
		wanted = make(chan int, 16)
		s.wanted[name] = wanted
	}
	return wanted
}

func (s *stories) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wanted, name)
}

// tell sends the parts of the story that the first message names, and notifies
// the listener of the number of each.
func (s *stories) tell(stream *arpc.Stream) {
	var story struct {
		Name  string
		Parts int
	}
	if err := stream.Recv(&story); err != nil {
		_ = stream.Fail(err)
		return
	}
	wanted := s.of(story.Name)
	defer s.forget(story.Name)
	for part := 0; part < story.Parts; {
		select {
		case more := <-wanted:
			for last := min(part+more, story.Parts); part < last; part++ {
				if err := tellPart(stream, part); err != nil {
					_ = stream.Fail(err)
					return
				}
			}
		case <-stream.Context().Done():
			return
		}
	}
}

func tellPart(stream *arpc.Stream, part int) error {
	if err := stream.Send(fmt.Sprintf("część %d\n", part)); err != nil {
		return err
	}
	return stream.Client().Notify("/told", part, patience)
}

// goOn has so many parts more of a story told, whoever listens to it.
func (s *stories) goOn(ctx *arpc.Context) {
	var story struct {
		Name  string
		Times int
	}
	if err := ctx.Bind(&story); err != nil {
		_ = ctx.Error(err)
		return
	}
	select {
	case s.of(story.Name) <- story.Times:
		_ = ctx.Write(nil)
	case <-ctx.Done():
		_ = ctx.Error(arpc.Errorf(arpc.CodeCanceled, "nobody listens"))
	}
}
