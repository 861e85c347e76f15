package server

import (
	"slices"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// Broadcast sends a notify to every client that is connected now. It is encoded
// once and appended to a log, from which each connection takes it when it has
// room, in the order of the broadcasts: slow clients hold up nobody. A client
// that is slower than the log is long, or was away for longer, is told that it
// missed something, if it knows the word. See BroadcastHistory.
func (s *Server) Broadcast(method string, v any) error {
	return s.broadcast(method, v, nil)
}

// BroadcastWithFilter is Broadcast to the clients for which keep is true; a
// nil keep is true for all. It is asked now, once for each client that is
// connected. One that comes back meanwhile in a new session is another.
func (s *Server) BroadcastWithFilter(method string, v any, keep func(*arpc.Client) bool) error {
	if keep == nil {
		return s.Broadcast(method, v)
	}
	only := audience{}
	s.ForEach(func(c *arpc.Client) {
		if keep(c) {
			only[c] = struct{}{}
		}
	})
	return s.broadcast(method, v, only)
}

// BroadcastExcept is Broadcast to all clients but some, such as the one whose
// message it is about.
func (s *Server) BroadcastExcept(method string, v any, except ...*arpc.Client) error {
	return s.BroadcastWithFilter(method, v, func(c *arpc.Client) bool { return !slices.Contains(except, c) })
}

// broadcast appends a notify to the log, for everybody if only is nil.
func (s *Server) broadcast(method string, v any, only audience) error {
	m, err := s.Handler.NewMessage(arpc.CmdNotify, method, v)
	if err != nil {
		return err
	}
	e := topic.Entry{Data: m.Frame()}
	if only != nil {
		e.Tag, e.Weight = only, place*len(only)
	}
	s.beginBroadcasts()
	s.broadcasts.append(e)
	return nil
}

// beginBroadcasts sees to it that all that are connected have their place.
func (s *Server) beginBroadcasts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broadcasts.begin(s.clients)
}

// append gives a frame its place in the log. Nobody has seen it before.
func (b *broadcasts) append(e topic.Entry) {
	b.appending.Lock()
	defer b.appending.Unlock()
	_, last := b.log.Bounds()
	e.Data[flagsAt] |= byte(wire.Outside)
	wire.SetSeq(e.Data, last+1)
	b.log.Append(e)
}

// flagsAt is where the flags are in a frame.
const flagsAt = 6
