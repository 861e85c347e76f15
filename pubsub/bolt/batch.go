package bolt

import (
	"time"

	"go.etcd.io/bbolt"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// batch is what one transaction is to write, and what follows when it has.
// Nothing of it shows before that.
type batch struct {
	broker  *Broker
	now     time.Time
	drafts  map[*topicState]*draft
	order   []*draft
	changes []change
	answers []answer
	made    bool // a topic that the file does not know
}

// answer is what a publisher is told when the batch was written.
type answer struct {
	done     func(broker.Position, error)
	position broker.Position
}

// draft is a topic as it will be.
type draft struct {
	*topicState
	head    head
	entries []broker.Entry // to be delivered
	times   []int64        // when they were appended
	added   []key
	inBatch map[string]uint64 // the offsets of those
	dropped int               // keys, the oldest
	floor   uint64
}

func (b *Broker) newBatch() *batch {
	return &batch{broker: b, now: time.Now(), drafts: map[*topicState]*draft{}}
}

func (b *batch) draft(t *topicState) *draft {
	d := b.drafts[t]
	if d == nil {
		d = &draft{topicState: t, head: t.head, floor: t.floor}
		b.drafts[t] = d
		b.order = append(b.order, d)
	}
	return d
}

// add plans a request. It is answered at once if nothing is to be written.
func (b *batch) add(r request) {
	t, err := b.topic(r)
	if t == nil {
		if r.done != nil {
			r.done(broker.Position{}, err)
		}
		return
	}
	d := b.draft(t)
	d.head.settings = r.Settings
	if r.done == nil {
		return
	}
	offset := uint64(0)
	if r.Key != "" {
		offset = d.find(r.Key, b.now.UnixNano())
	}
	if offset == 0 {
		offset = b.append(d, r)
	}
	b.answers = append(b.answers, answer{r.done, broker.Position{Epoch: d.head.epoch, Offset: offset}})
}

// topic is the one of a request, nil if there is none and none is to be made.
func (b *batch) topic(r request) (t *topicState, err error) {
	if r.done != nil && r.Settings.Keep {
		t, _, err = b.broker.findOrMake(r.Topic, r.Settings)
		return t, err
	}
	return b.broker.find(r.Topic)
}

// find returns the offset a key was appended at, 0 if it was not.
func (d *draft) find(text string, now int64) uint64 {
	if offset, ok := d.inBatch[text]; ok {
		return offset
	}
	return d.keys.find(text, now)
}

func (b *batch) append(d *draft, r request) (offset uint64) {
	h := &d.head
	at := max(b.now.UnixNano(), h.newest) // times do not fall, whatever the clock does
	if h.empty() {
		h.oldest = at
	}
	h.last++
	h.newest = at
	h.bytes += len(r.Frame)
	value, frame := newEntry(at, r.Origin, r.Frame)
	wire.SetSeq(frame, h.last)
	b.put(entriesBucket, place(h.id, h.last), value)
	d.entries = append(d.entries, broker.Entry{Offset: h.last, Frame: frame, Origin: r.Origin})
	d.times = append(d.times, at)
	if r.Key != "" && r.Settings.Keys > 0 && r.Settings.MaxKeys > 0 {
		if d.inBatch == nil {
			d.inBatch = map[string]uint64{}
		}
		d.inBatch[r.Key] = h.last
		d.added = append(d.added, key{r.Key, h.last, b.now.Add(r.Settings.Keys).UnixNano()})
	}
	return h.last
}

// put plans a record; the value has room for the checksum.
func (b *batch) put(bucket, key, value []byte) {
	b.changes = append(b.changes, change{bucket, key, seal(key, value)})
}

// plan completes the batch: retention, keys, heads. It reads the file.
func (b *batch) plan() error {
	for _, d := range b.order {
		if err := b.trim(d); err != nil {
			return err
		}
		b.planKeys(d)
		if d.head != d.topicState.head || !d.written {
			b.changes = append(b.changes, change{headsBucket, []byte(d.name), d.head.record(d.name)})
		}
		if !d.written {
			b.made = true
		}
	}
	if b.made {
		b.changes = append(b.changes, b.broker.about(false))
	}
	return nil
}

// over reports whether the oldest entry is to go.
func (h *head) over(now time.Time) bool {
	r := h.settings.Retention
	held := h.last - h.first + 1
	switch {
	case h.empty():
		return false
	case r.Entries > 0 && held > uint64(r.Entries):
		return true
	case r.Bytes > 0 && h.bytes > r.Bytes && held > 1:
		return true
	}
	return h.expired(h.oldest, now)
}

// trim drops what is over the limits of a topic.
func (b *batch) trim(d *draft) error {
	if d.head.over(b.now) {
		if err := b.broker.file.view(func(tx *bbolt.Tx) error { return d.trim(d.head.entriesIn(tx), b.now) }); err != nil {
			return err
		}
	}
	b.sweepFloor(d, sweepAt)
	return nil
}

func (d *draft) trim(e entries, now time.Time) error {
	h := &d.head
	size, _, err := d.weigh(e, h.first)
	for ; err == nil && h.over(now); size, h.oldest, err = d.weigh(e, h.first) {
		h.bytes -= size
		h.first++
	}
	return err
}

// weigh returns the size and the time of an entry, zeros behind the last.
func (d *draft) weigh(e entries, offset uint64) (size int, at int64, err error) {
	if offset > d.head.last {
		return 0, 0, nil
	}
	if written := d.head.last - uint64(len(d.entries)); offset > written {
		i := offset - written - 1
		return len(d.entries[i].Frame), d.times[i], nil
	}
	s, ok, err := e.at(offset)
	if err == nil && !ok {
		err = damaged("entry %d of topic %q is missing", offset, d.name)
	}
	return len(s.frame), s.at, err
}

// Entries that are not held any more are deleted some at a time: the page they
// are on is written once then, and no transaction has to delete very many.
const (
	sweepAt   = 64     // waiting, so many are deleted
	sweepMost = 10_000 // at once
)

// sweepFloor deletes entries below the first if at least so many wait for it.
func (b *batch) sweepFloor(d *draft, least uint64) {
	if d.head.first-d.floor < least {
		return
	}
	to := min(d.head.first, d.floor+sweepMost)
	for ; d.floor < to; d.floor++ {
		b.changes = append(b.changes, change{entriesBucket, place(d.head.id, d.floor), nil})
	}
}

// planKeys writes the keys that were added, and deletes those to be forgotten.
func (b *batch) planKeys(d *draft) {
	h := &d.head
	for _, k := range d.added {
		at := place(h.id, k.offset)
		b.changes = append(b.changes, change{keysBucket, at, keyRecord(at, k)})
	}
	old := d.keys.surplus(h.settings.MaxKeys-len(d.added), b.now.UnixNano())
	d.dropped = min(len(old), sweepMost)
	for _, k := range old[:d.dropped] {
		b.changes = append(b.changes, change{keysBucket, place(h.id, k.offset), nil})
	}
}

// size is how many bytes are to be written.
func (b *batch) size() (n int64) {
	for _, c := range b.changes {
		n += int64(len(c.key) + len(c.value))
	}
	return n
}

// deliver shows what was written to followers and publishers.
func (b *batch) deliver() {
	for _, d := range b.order {
		t := d.topicState
		t.floor, t.written = d.floor, true
		t.keys.drop(d.dropped)
		for _, k := range d.added {
			t.keys.add(k)
		}
		t.advance(d.head, d.entries)
	}
	for _, a := range b.answers {
		a.done(a.position, nil)
	}
}

// fail tells the publishers why not.
func (b *batch) fail(err error) {
	for _, a := range b.answers {
		a.done(broker.Position{}, err)
	}
}
