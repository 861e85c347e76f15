package pubsub

import (
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// subscription is a client's place in a topic. Its connection pulls from it
// when the socket has room.
type subscription struct {
	client *arpc.Client
	room   *room
	cursor *topic.Cursor
	lost   atomic.Uint64 // publications that were gone before the client read them
}

// start makes the connection look for the first time. The answer to the
// subscriber was sent before, so it comes first.
func (s *subscription) start() { s.wake() }

func (s *subscription) wake() { s.client.Wake(s) }

// pageEntries is how many publications are taken from the log at once.
const pageEntries = 32

// Fill implements arpc.Source.
func (s *subscription) Fill(w *arpc.FrameWriter) (more bool) {
	var page [pageEntries]topic.Entry
	for w.Room() > 0 {
		n, skipped := s.cursor.Next(page[:], w.Room())
		if skipped > 0 {
			s.reportLost(skipped)
		}
		if n == 0 {
			return false
		}
		for _, e := range page[:n] {
			w.Append(e.Data)
		}
	}
	return true
}

// reportLost says that the client was slower than the history is long. The
// base protocol has no words for it, so the log of the server has.
func (s *subscription) reportLost(n uint64) {
	total := s.lost.Add(n)
	s.client.Handler.Logger().Warn("arpc: slow subscriber missed publications",
		"topic", s.room.name, "client", s.client.RemoteAddr(), "missed", n, "in all", total)
}
