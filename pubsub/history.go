package pubsub

import (
	"cmp"
	"context"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// HistoryQuery says what of a topic is wanted: the newest publications below
// Before, or the oldest above After.
type HistoryQuery struct {
	// After is the offset above which they are wanted, 0 for no bound.
	After uint64
	// Oldest wants the oldest though After is 0: from the beginning of what is held.
	Oldest bool
	// Before is the offset below which they are, 0 for no bound.
	Before uint64
	// Limit is how many at most: 100 if it is zero, and never more than 300.
	Limit int
}

func (q HistoryQuery) request(topic string) historyRequest {
	r := historyRequest{Topic: topic, Before: q.Before, Limit: q.Limit}
	if q.After > 0 || q.Oldest {
		r.After = &q.After
	}
	return r
}

// HistoryPage is a part of a topic.
type HistoryPage struct {
	// Epoch is that of the topic; "" if it does not exist.
	Epoch string
	// From is the oldest offset that is held, 0 if none is, and Last the newest
	// ever published.
	From, Last uint64
	// More says that there is more in the direction that was asked for. A page
	// has at most 256 KiB.
	More bool
	// Messages are the publications, the oldest first.
	Messages []*Message
}

// History reads a part of what a topic holds. It fails with unavailable while the
// broker is away, and is over at once where that keeps topics in memory.
func (h *Hub) History(ctx context.Context, topic string, q HistoryQuery) (HistoryPage, error) {
	r := q.request(topic)
	if err := r.check(); err != nil {
		return HistoryPage{}, err
	}
	found, more, err := h.page(ctx, &r)
	if err != nil {
		return HistoryPage{}, err
	}
	page := HistoryPage{Epoch: found.State.Epoch, From: found.State.First, Last: found.State.Last, More: more}
	for _, e := range found.Entries {
		m, _, err := cutMessage(e.Frame, page.Epoch, h.codec())
		if err != nil {
			return HistoryPage{}, err
		}
		page.Messages = append(page.Messages, m)
	}
	return page, nil
}

func (r *historyRequest) check() error {
	if r.Limit < 0 {
		return arpc.Errorf(arpc.CodeInvalidArgument, "limit %d", r.Limit)
	}
	return checkTopic(r.Topic)
}

// page reads a part of a topic. more says that there is more in the direction
// that was asked for.
func (h *Hub) page(ctx context.Context, r *historyRequest) (page broker.Page, more bool, err error) {
	q := broker.Query{
		Before:  r.Before,
		Newest:  r.After == nil,
		Entries: min(cmp.Or(r.Limit, historyDefault), historyEntries),
		Bytes:   historyBytes,
	}
	if r.After != nil {
		q.After = *r.After
	}
	if page, err = h.broker.Read(ctx, r.Topic, q); err != nil {
		return broker.Page{}, false, shown(err, errBroker)
	}
	if len(page.Entries) == 0 {
		return page, false, nil
	}
	if q.Newest {
		return page, page.Entries[0].Offset > page.State.First, nil
	}
	end := page.State.Last
	if r.Before > 0 {
		end = min(end, r.Before-1)
	}
	return page, page.Entries[len(page.Entries)-1].Offset < end, nil
}

// cutMessage reads the publication at the start of frames.
func cutMessage(frames []byte, epoch string, c codec.Codec) (m *Message, left []byte, err error) {
	end := len(frames)
	if end >= wire.HeaderLen {
		end = min(end, wire.HeaderLen+int(wire.ParseHeader(frames).BodyLen))
	}
	f, err := wire.Split(frames[:end])
	if err != nil {
		return nil, nil, err
	}
	p, err := parsePublication(f.Body)
	if err != nil {
		return nil, nil, err
	}
	return newMessage(p, f.Flags.Kind(), Position{Epoch: epoch, Offset: f.Seq}, c), frames[end:], nil
}

// newMessage is a publication as the application gets it.
func newMessage(p publication, kind wire.Kind, at Position, c codec.Codec) *Message {
	return &Message{
		Topic:  p.topic,
		Data:   arpc.Raw{Kind: kind, Data: p.data},
		Offset: at.Offset,
		Epoch:  at.Epoch,
		Time:   time.Unix(0, p.time),
		codec:  c,
	}
}
