package scenarios

import (
	"fmt"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
)

// stories are told on streams, part by part, as far as others want: so that a
// test can say what happens between two parts, and to the connection.
type stories struct {
	sockets *Sockets
	mu      sync.Mutex
	told    map[string]*story // guarded by mu; by name
}

// A story is one of them, once somebody listens or wants it to go on.
type story struct {
	wanted   chan int          // how many parts more
	listener chan *arpc.Client // who listens, once somebody does
}

func mountStories(h *arpc.Handler, sockets *Sockets) {
	s := &stories{sockets: sockets, told: map[string]*story{}}
	h.HandleStream("/story", s.tell)
	h.Handle("/go-on", s.goOn)
	h.Handle("/cut-off", s.cutOff)
}

func (s *stories) of(name string) *story {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.told[name]
	if one == nil {
		one = &story{wanted: make(chan int, 1), listener: make(chan *arpc.Client, 1)}
		s.told[name] = one
	}
	return one
}

func (s *stories) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, name)
}

// tell sends the parts of the story that the first message names, and notifies
// the listener of the number of each.
func (s *stories) tell(stream *arpc.Stream) {
	var wish struct {
		Name  string
		Parts int
	}
	if err := stream.Recv(&wish); err != nil {
		_ = stream.Fail(err)
		return
	}
	one := s.of(wish.Name)
	one.listener <- stream.Client()
	defer s.forget(wish.Name)
	for part := 0; part < wish.Parts; {
		select {
		case more := <-one.wanted:
			for last := min(part+more, wish.Parts); part < last; part++ {
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
	var wish struct {
		Name  string
		Times int
	}
	if err := ctx.Bind(&wish); err != nil {
		_ = ctx.Error(err)
		return
	}
	select {
	case s.of(wish.Name).wanted <- wish.Times:
		_ = ctx.Write(nil)
	case <-ctx.Done():
		_ = ctx.Error(arpc.Errorf(arpc.CodeCanceled, "nobody listens"))
	}
}

// cutOff cuts the connection of the one who listens to a story.
func (s *stories) cutOff(ctx *arpc.Context) {
	var name string
	if err := ctx.Bind(&name); err != nil {
		_ = ctx.Error(err)
		return
	}
	one := s.of(name)
	select {
	case listener := <-one.listener:
		one.listener <- listener
		if err := s.sockets.cut(listener); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write(nil)
	case <-ctx.Done():
		_ = ctx.Error(arpc.Errorf(arpc.CodeCanceled, "nobody listens"))
	}
}
