package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// The buckets of the file, in the order of their names: a head comes before what
// belongs to it. Every value in them begins with a checksum of its key and of itself.
var (
	aboutBucket   = []byte("about") // one record, about
	headsBucket   = []byte("heads") // name of a topic -> head
	entriesBucket = []byte("log")   // place -> when, origin, frame
	keysBucket    = []byte("once")  // place -> until when, key
)

var buckets = [][]byte{aboutBucket, headsBucket, entriesBucket, keysBucket}

// version is that of the layout below.
const version = 1

const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

// seal fills in the checksum of a value that has room for it.
func seal(key, value []byte) []byte {
	binary.BigEndian.PutUint32(value, sum(key, value[sumSize:]))
	return value
}

// unseal returns what the value of a key is, if it is what was sealed.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < sumSize || binary.BigEndian.Uint32(value) != sum(key, value[sumSize:]) {
		return nil, fmt.Errorf("%w: wrong checksum of record %x", ErrDamaged, key)
	}
	return value[sumSize:], nil
}

// place is the key of what belongs to an offset of a topic. Places are in order.
func place(id, offset uint64) []byte {
	key := make([]byte, 0, placeSize)
	key = binary.BigEndian.AppendUint64(key, id)
	return binary.BigEndian.AppendUint64(key, offset)
}

const placeSize = 16

func parsePlace(key []byte) (id, offset uint64, err error) {
	if len(key) != placeSize {
		return 0, 0, fmt.Errorf("%w: place %x", ErrDamaged, key)
	}
	return binary.BigEndian.Uint64(key), binary.BigEndian.Uint64(key[8:]), nil
}

// frameAt is where the frame begins in the value of an entry.
const frameAt = sumSize + 8 + 8

// newEntry returns the value of an entry without its checksum, and the frame in it.
func newEntry(at int64, origin uint64, frame []byte) (value, copied []byte) {
	value = make([]byte, sumSize, frameAt+len(frame))
	value = binary.BigEndian.AppendUint64(value, uint64(at))
	value = binary.BigEndian.AppendUint64(value, origin)
	value = append(value, frame...)
	return value, value[frameAt:]
}

// stored is an entry as it is in the file. The frame is valid as long as the
// transaction that it was read in.
type stored struct {
	at     int64 // nanoseconds since 1970
	origin uint64
	frame  []byte
}

func parseEntry(key, value []byte) (stored, error) {
	body, err := unseal(key, value)
	if err != nil {
		return stored{}, err
	}
	if len(body) < frameAt-sumSize {
		return stored{}, fmt.Errorf("%w: entry %x is short", ErrDamaged, key)
	}
	return stored{int64(binary.BigEndian.Uint64(body)), binary.BigEndian.Uint64(body[8:]), body[16:]}, nil
}

// head is where a topic stands.
type head struct {
	id          uint64 // of the topic in places; never used again
	epoch       string
	first, last uint64 // first is last + 1 if nothing is held
	bytes       int    // of the frames held
	settings    broker.Settings

	// Known from the entries.
	oldest, newest int64 // when the first was appended, and the last ever; nanoseconds
}

func (h *head) empty() bool { return h.first > h.last }

func (h *head) state() broker.State {
	s := broker.State{Epoch: h.epoch, First: h.first, Last: h.last}
	if h.empty() {
		s.First = 0
	}
	return s
}

const headNumbers = 10

func (h *head) record(name string) []byte {
	s := h.settings
	keep := uint64(0)
	if s.Keep {
		keep = 1
	}
	value := make([]byte, sumSize, sumSize+8*headNumbers+len(h.epoch))
	for _, n := range [headNumbers]uint64{
		h.id, h.first, h.last, uint64(h.bytes), keep,
		uint64(s.Retention.Entries), uint64(s.Retention.Bytes), uint64(s.Retention.Age),
		uint64(s.Keys), uint64(s.MaxKeys),
	} {
		value = binary.BigEndian.AppendUint64(value, n)
	}
	return seal([]byte(name), append(value, h.epoch...))
}

func parseHead(name, value []byte) (head, error) {
	body, err := unseal(name, value)
	if err != nil {
		return head{}, err
	}
	if len(body) <= 8*headNumbers {
		return head{}, fmt.Errorf("%w: head %q is short", ErrDamaged, name)
	}
	var n [headNumbers]uint64
	for i := range n {
		n[i] = binary.BigEndian.Uint64(body[8*i:])
	}
	return head{
		id: n[0], first: n[1], last: n[2], bytes: int(n[3]),
		epoch: string(body[8*headNumbers:]),
		settings: broker.Settings{
			Keep:      n[4] == 1,
			Retention: topic.Limits{Entries: int(n[5]), Bytes: int(n[6]), Age: time.Duration(n[7])},
			Keys:      time.Duration(n[8]),
			MaxKeys:   int(n[9]),
		},
	}, nil
}

// keyRecord is the value of the key of a publication, at its place.
func keyRecord(at []byte, k key) []byte {
	value := make([]byte, sumSize, sumSize+8+len(k.text))
	value = binary.BigEndian.AppendUint64(value, uint64(k.expires))
	return seal(at, append(value, k.text...))
}

func parseKey(at, value []byte) (key, error) {
	body, err := unseal(at, value)
	if err != nil {
		return key{}, err
	}
	_, offset, err := parsePlace(at)
	if err != nil || len(body) < 8 {
		return key{}, fmt.Errorf("%w: key %x", ErrDamaged, at)
	}
	return key{text: string(body[8:]), offset: offset, expires: int64(binary.BigEndian.Uint64(body))}, nil
}

// about is what is known of the file as a whole.
type about struct {
	nextID    uint64 // of the next topic
	neverSync bool   // it is written without syncs
	clean     bool   // it was closed, and synced then
	boot      string // of the machine, when it was opened
}

// errVersion is returned for a file of another layout: it is not damaged.
var errVersion = errors.New("the file was written by another version of this package")

var aboutKey = []byte("file")

func (a about) record() []byte {
	value := make([]byte, sumSize, sumSize+12+len(a.boot))
	value = append(value, version, flag(a.neverSync), flag(a.clean))
	value = binary.BigEndian.AppendUint64(value, a.nextID)
	return seal(aboutKey, append(value, a.boot...))
}

func parseAbout(value []byte) (about, error) {
	body, err := unseal(aboutKey, value)
	if err != nil {
		return about{}, err
	}
	if len(body) < 11 || body[0] != version {
		return about{}, errVersion
	}
	return about{
		neverSync: body[1] == 1,
		clean:     body[2] == 1,
		nextID:    binary.BigEndian.Uint64(body[3:]),
		boot:      string(body[11:]),
	}, nil
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
