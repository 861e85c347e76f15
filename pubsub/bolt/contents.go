package bolt

import "bytes"

// contents are what is in a file: what scan visits, put together and checked.
type contents struct {
	txid   uint64
	about  about
	topics map[string]*found
	byID   map[uint64]*found
	// garbage are records of topics that are gone.
	garbage []places
}

// found is one topic in a file.
type found struct {
	head
	keys keys

	floor  uint64 // the first entry in the file, which may be one that is not held any more
	upTo   uint64 // the last, 0 if there is none
	weight int    // of the frames held
}

// places are records in a bucket that belong to a topic, from one offset to another.
type places struct {
	bucket   []byte
	id       uint64
	from, to uint64
}

func newContents() *contents {
	return &contents{
		about:  about{nextID: 1, clean: true},
		topics: map[string]*found{},
		byID:   map[uint64]*found{},
	}
}

// add takes the next record.
func (c *contents) add(bucket, key, value []byte) (err error) {
	switch {
	case bytes.Equal(bucket, aboutBucket):
		c.about, err = parseAbout(value)
	case bytes.Equal(bucket, headsBucket):
		err = c.addHead(key, value)
	case bytes.Equal(bucket, entriesBucket):
		err = c.addEntry(key, value)
	case bytes.Equal(bucket, keysBucket):
		err = c.addKey(key, value)
	default:
		err = damaged("it has a bucket %q", bucket)
	}
	return err
}

func (c *contents) addHead(name, value []byte) error {
	h, err := parseHead(name, value)
	if err != nil {
		return err
	}
	if c.byID[h.id] != nil || h.id >= c.about.nextID || h.first == 0 || h.first > h.last+1 {
		return damaged("the head of topic %q is wrong", name)
	}
	t := &found{head: h, floor: h.first}
	c.topics[string(name)], c.byID[h.id] = t, t
	return nil
}

func (c *contents) addEntry(key, value []byte) error {
	id, offset, err := parsePlace(key)
	if err != nil {
		return err
	}
	e, err := parseEntry(key, value)
	if err != nil {
		return err
	}
	t := c.byID[id]
	if t == nil {
		c.discard(places{entriesBucket, id, offset, offset})
		return nil
	}
	if t.upTo != 0 && offset != t.upTo+1 || t.upTo == 0 && offset > t.first || offset > t.last {
		return damaged("entry %d of topic %d is out of place", offset, id)
	}
	if t.upTo == 0 {
		t.floor = offset
	}
	if t.upTo = offset; offset >= t.first {
		t.weight += len(e.frame)
	}
	if offset == t.first {
		t.oldest = e.at
	}
	t.newest = e.at
	return nil
}

func (c *contents) addKey(at, value []byte) error {
	k, err := parseKey(at, value)
	if err != nil {
		return err
	}
	id, offset, err := parsePlace(at)
	if err != nil {
		return err
	}
	t := c.byID[id]
	if t == nil {
		c.discard(places{keysBucket, id, offset, offset})
		return nil
	}
	if offset > t.last {
		return damaged("key %d of topic %d is out of place", offset, id)
	}
	t.keys.add(k)
	return nil
}

// discard adds a place to the garbage.
func (c *contents) discard(p places) {
	if n := len(c.garbage); n > 0 {
		last := &c.garbage[n-1]
		if last.id == p.id && last.to+1 == p.from && bytes.Equal(last.bucket, p.bucket) {
			last.to = p.to
			return
		}
	}
	c.garbage = append(c.garbage, p)
}

// check finds what is missing when everything has come.
func (c *contents) check() error {
	for name, t := range c.topics {
		held := !t.empty()
		if held && t.upTo != t.last || t.weight != t.bytes {
			return damaged("topic %q lacks entries: it ends at %d of %d, and has %d bytes of %d", name, t.upTo, t.last, t.weight, t.bytes)
		}
	}
	return nil
}

// renew gives all topics new epochs: clients may know of entries that are gone.
func (c *contents) renew() {
	for _, t := range c.topics {
		t.epoch = newEpoch()
	}
}
