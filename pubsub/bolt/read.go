package bolt

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// expired reports whether an entry of a time is too old at another.
func (h *head) expired(at int64, now time.Time) bool {
	age := h.settings.Retention.Age
	return age > 0 && !h.empty() && at < now.Add(-age).UnixNano()
}

// entries reads those of one topic in a transaction.
type entries struct {
	bucket *bbolt.Bucket
	id     uint64
}

func (h *head) entriesIn(tx *bbolt.Tx) entries { return entries{tx.Bucket(entriesBucket), h.id} }

// at returns the entry of an offset; not ok if it is not there.
func (e entries) at(offset uint64) (s stored, ok bool, err error) {
	key := place(e.id, offset)
	value := e.bucket.Get(key)
	if value == nil {
		return stored{}, false, nil
	}
	s, err = parseEntry(key, value)
	return s, err == nil, err
}

// firstAlive is the offset of the oldest entry that is not too old: times do not
// fall with offsets.
func (h *head) firstAlive(e entries, now time.Time) (first uint64, err error) {
	n := sort.Search(int(h.last-h.first+1), func(i int) bool {
		s, ok, failed := e.at(h.first + uint64(i))
		if failed != nil {
			err = failed
		}
		return ok && !h.expired(s.at, now)
	})
	return h.first + uint64(n), err
}

// dropExpired moves a head past entries that are too old, but still there.
func (b *Broker) dropExpired(h *head) error {
	return b.view(func(tx *bbolt.Tx) (err error) {
		h.first, err = h.firstAlive(h.entriesIn(tx), time.Now())
		return err
	})
}

// view reads the file.
func (b *Broker) view(read func(tx *bbolt.Tx) error) error {
	if err := b.file.view(read); err != nil {
		b.cfg.logger.Error("arpc: read topics", "file", b.file.path, "error", err)
		return arpc.Errorf(arpc.CodeDataLoss, "the topic cannot be read")
	}
	return nil
}

// Read implements broker.Broker. It fails with data_loss if an entry is not what
// was written.
func (b *Broker) Read(_ context.Context, topic string, q broker.Query) (page broker.Page, err error) {
	t, err := b.find(topic)
	if t == nil {
		return broker.Page{}, err
	}
	h := t.now()
	err = b.view(func(tx *bbolt.Tx) error {
		e := h.entriesIn(tx)
		if now := time.Now(); h.expired(h.oldest, now) {
			if h.first, err = h.firstAlive(e, now); err != nil {
				return err
			}
		}
		page.Entries, err = h.read(e, q)
		return err
	})
	if err != nil {
		return broker.Page{}, err
	}
	page.State = h.state()
	return page, nil
}

// read returns what a query asks for, of what the head holds.
func (h *head) read(e entries, q broker.Query) (found []broker.Entry, err error) {
	from, to := h.first, h.last // both included
	if q.After >= from {
		from = q.After + 1
	}
	if q.Before > 0 {
		to = min(to, q.Before-1)
	}
	room := q.Bytes
	for n := uint64(0); from+n <= to && len(found) < q.Entries; n++ {
		offset := from + n
		if q.Newest {
			offset = to - n
		}
		s, ok, err := e.at(offset)
		if err != nil {
			return nil, err
		}
		if !ok { // dropped since the head was looked at
			if q.Newest {
				break
			}
			if len(found) > 0 {
				return nil, fmt.Errorf("%w: entry %d of topic %d is missing", ErrDamaged, offset, h.id)
			}
			continue
		}
		if room -= len(s.frame); room < 0 && len(found) > 0 {
			break
		}
		found = append(found, broker.Entry{Offset: offset, Frame: bytes.Clone(s.frame), Origin: s.origin})
	}
	if q.Newest {
		slices.Reverse(found)
	}
	return found, nil
}
