// Package broker is what a hub needs of whatever keeps its topics: memory, a
// file, or a server that several nodes share. The hub knows only the interface
// Broker, and package brokertest says what every implementation has to hold.
//
// # The model
//
// A topic is a log. Within one epoch its entries have the offsets 1, 2, 3 and so
// on without a hole; an epoch is a random name that changes whenever the broker
// cannot go on where it was, because what it knew of the topic is lost or was
// forgotten. So a position, which is an epoch and an offset, means the same
// entry for ever or nothing at all.
//
// The bytes of an entry are one whole frame, the very bytes that subscribers
// get. A broker looks at nothing in it and changes nothing but its seq, which
// is the offset.
//
// # Nodes
//
// A hub is one node. Several may share the topics of a broker that says so; they
// learn of each other's entries and members through their receivers.
package broker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// Broker keeps topics. All methods are safe for concurrent use.
//
// While the engine behind it is away, methods fail with an error of the code
// unavailable within a bounded time. What was delivered before stays delivered.
// When the engine is back the broker goes on calling the receivers where it
// stopped, or, where it cannot, calls Reset. It need not notice that it lost the
// last entries of a topic without a trace: hubs compare State with what was
// delivered to them from time to time, and read what is missing.
type Broker interface {
	// Append adds an entry to a topic and says where, or why not, by calling
	// done exactly once: before Append returns, or later from a goroutine of
	// the broker. done must not block. Append itself neither waits for a disk
	// nor for a network, so that it may be called where others wait; entries
	// that one goroutine appends to one topic get rising offsets. An entry is
	// durable, as far as the broker promises that, when done is told its
	// position.
	Append(a Append, done func(Position, error))

	// Read returns entries that are held. It may block.
	Read(ctx context.Context, topic string, q Query) (Page, error)

	// State says where a topic stands; the zero State if there is no such
	// topic. It may block.
	State(ctx context.Context, topic string) (State, error)

	// Subscribe makes the caller's node follow a topic, which is made if it
	// does not exist: r gets every entry behind the State that is returned, in
	// the order of offsets. It may block. cancel ends it; r may be called
	// once more while cancel runs, and not after it returned. A topic nobody
	// follows is forgotten at once or later, unless Settings.Keep says
	// otherwise.
	Subscribe(ctx context.Context, topic string, s Settings, r Receiver) (state State, cancel func(), err error)

	// SendToOne gives a frame to one of the nodes that follow a topic, in
	// turn, whose receiver takes it. Nothing is stored. It fails with
	// ErrNobody if none does. It may block.
	SendToOne(ctx context.Context, topic string, frame []byte) error

	// Enter makes somebody a member of a topic, or renews what is known of
	// one with the same ID: who was there before stays since when it was, and
	// belongs to the new holder. Receivers are told of it unless nothing but
	// the holder changed. It may block.
	Enter(ctx context.Context, topic string, m Member, holder string) error

	// Leave ends a membership if it belongs to the holder: somebody who came
	// back elsewhere meanwhile stays. It may block.
	Leave(ctx context.Context, topic, id, holder string) error

	// Members returns who is there. It may block.
	Members(ctx context.Context, topic string) (Roster, error)

	// Close ends the broker after everything that was acknowledged is as safe
	// as it gets. Receivers are not called any more; further calls fail with
	// ErrClosed. Closing again does nothing.
	Close() error
}

// Receiver is what a node does with the topic it follows. Calls of one receiver
// come one after the other, but for TakeOne, which may run beside them. They must
// not block, and must not call the broker.
type Receiver interface {
	// Deliver takes the next entry: its offset is one more than that of the
	// one before, or than State.Last.
	Deliver(Entry)
	// Reset says that the next entry will not be the next offset: the epoch is
	// another, or entries were lost on the way. What is held can be read.
	Reset(State)
	// Changed takes a change of the members. Versions rise by one; where they
	// do not, changes were lost on the way, and Members has the whole.
	Changed(Change)
	// TakeOne gives a frame to one subscriber, and says whether there was one.
	TakeOne(frame []byte) bool
}

// Position is a place in a topic.
type Position struct {
	// Epoch names the life of the topic's log. Offsets of different epochs
	// have nothing to do with each other.
	Epoch string
	// Offset is 1 for the first publication of an epoch, and one more each time.
	Offset uint64
}

// State is where a topic stands.
type State struct {
	// Epoch names its life; "" if the topic does not exist.
	Epoch string
	// First is the offset of the oldest entry that is held, 0 if none is.
	First uint64
	// Last is the offset of the newest entry ever appended, 0 before the first.
	Last uint64
}

// Entry is one publication.
type Entry struct {
	// Offset is its place.
	Offset uint64
	// Frame is the whole frame with the offset as its seq. It is shared and
	// is not to be changed.
	Frame []byte
	// Origin is what Append was given.
	Origin uint64
}

// Settings are how a topic is kept. They come with what makes or changes it, and
// the newest hold. A broker that outlives its process keeps them.
type Settings struct {
	// Retention bounds what is held. Zero in a field means no bound of that
	// sort; the newest entry is held whatever its size.
	Retention topic.Limits
	// Keep makes the topic exist though nobody follows it, as long as it
	// holds an entry: then publishing creates it.
	Keep bool
	// Keys is how long the key of an entry is remembered, and MaxKeys how many of
	// a topic are at most, the newest.
	Keys    time.Duration
	MaxKeys int
}

// Append is an entry to come.
type Append struct {
	// Topic is its topic: a name of 1 to 255 bytes. If it does not exist, and
	// Settings.Keep does not make it, nothing happens, and the position is zero.
	Topic string
	// Frame is one whole frame. It belongs to the broker from now on, which
	// sets its seq.
	Frame []byte
	// Origin comes back with the entry and means nothing to the broker.
	Origin uint64
	// Key, unless it is "", makes the entry one that is appended once: a second
	// one with the key in the same topic has the position of the first, as
	// long as that is remembered, and is not appended.
	Key string
	// Settings are those of the topic.
	Settings Settings
}

// Query says what Read is to return: entries with contiguous offsets, the oldest
// first.
type Query struct {
	// After is the offset behind which entries are read.
	After uint64
	// Before is the offset before which they are read, 0 for no bound.
	Before uint64
	// Newest returns those at the end of the range where not all fit;
	// otherwise those at its beginning are.
	Newest bool
	// Entries is how many at most, and Bytes how many bytes of frames unless
	// the first alone is larger. Both are above zero.
	Entries int
	Bytes   int
}

// Page is what Read returns. Entries that Query asks for and that are not held
// any more are missing at its beginning.
type Page struct {
	// State is that of the topic when it was read.
	State State
	// Entries are in the order of their offsets.
	Entries []Entry
}

// Member is somebody who shows being subscribed to a topic.
type Member struct {
	// ID is who it is: one for each client, the same after it reconnected.
	ID string `json:"id"`
	// User is the ID of the client's identity; "" where nobody asked who it is.
	User string `json:"user,omitempty"`
	// Info is what the client says of itself: JSON, at most 4 KiB.
	Info json.RawMessage `json:"info,omitempty"`
	// Since is when it came, in milliseconds since 1970.
	Since int64 `json:"since"`
}

// Roster is who is there.
type Roster struct {
	// Members are in no order.
	Members []Member `json:"members"`
	// Version counts the changes that led there.
	Version uint64 `json:"version"`
}

// Change is one change of a Roster.
type Change struct {
	// Left says that the member is gone; otherwise it came, or what is known of
	// it changed.
	Left bool
	// Member is who it is about.
	Member Member
	// Version is that of the roster after it.
	Version uint64
}

// Errors of brokers. An error of another code may come with what went wrong:
// unavailable while the engine is away, resource_exhausted where there is no
// room for an entry or a topic.
var (
	// ErrClosed is returned after Close.
	ErrClosed = arpc.Errorf(arpc.CodeUnavailable, "the broker is closed")
	// ErrNobody is returned by SendToOne if nobody takes the frame.
	ErrNobody = arpc.Errorf(arpc.CodeNotFound, "nobody is subscribed")
)
