package pubsub

import (
	"cmp"
	"context"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// page reads a part of a topic. more says that there is more in the direction
// that was asked for.
func (h *Hub) page(ctx context.Context, r *historyRequest) (page broker.Page, more bool, err error) {
	q := broker.Query{
		After:   r.After,
		Before:  r.Before,
		Newest:  r.After == 0,
		Entries: min(cmp.Or(r.Limit, historyDefault), historyEntries),
		Bytes:   historyBytes,
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
