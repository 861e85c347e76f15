package pubsub

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// Hub holds topics and who is subscribed to them. It mounts on the handler of
// any server. Its methods are safe for concurrent use.
type Hub struct {
	cfg config

	mu     sync.Mutex // guards what follows; may be taken under a member's, never the other way round
	codec  codec.Codec
	topics map[string]*room
	closed bool

	members sync.Map // *arpc.Client -> *member
}

// Position is a place in a topic.
type Position struct {
	// Epoch names the life of the topic's log. Offsets of different epochs
	// have nothing to do with each other.
	Epoch string
	// Offset is 1 for the first publication of an epoch, and one more each time.
	Offset uint64
}

// NewHub returns a hub. Unless one of the options opens it, every request is
// answered with permission_denied.
func NewHub(opts ...Option) *Hub {
	return &Hub{cfg: newConfig(opts), topics: map[string]*room{}, codec: codec.JSON}
}

// Mount registers the routes of the hub on a handler.
func (h *Hub) Mount(on *arpc.Handler) {
	h.mu.Lock()
	h.codec = on.Codec()
	h.mu.Unlock()
	if h.cfg.access == nil {
		on.Logger().Warn("arpc: pub/sub answers permission_denied; give it pubsub.Open or pubsub.Password")
	}
	on.Handle(routeAuthenticate, h.authenticate, arpc.Ordered)
	on.Handle(routeSubscribe, h.member(h.subscribe), arpc.Ordered)
	on.Handle(routeUnsubscribe, h.member(h.unsubscribe), arpc.Ordered)
	on.Handle(routePublish, h.member(h.publish), arpc.Ordered)
	on.Handle(routePublishToOne, h.member(h.publishToOne), arpc.Ordered)
	on.HandleDisconnected(h.leave)
}

// Publish appends v to a topic and returns its place there. A topic that
// nobody subscribed to lately does not exist: what is published to it goes
// nowhere, and the position is zero.
func (h *Hub) Publish(name string, v any) (Position, error) {
	body, kind, err := h.encode(name, v)
	if err != nil {
		return Position{}, err
	}
	return h.append(name, body, kind), nil
}

// PublishToOne sends v to one of the current subscribers, in turn. It fails
// with not_found if there is none.
func (h *Hub) PublishToOne(name string, v any) error {
	body, kind, err := h.encode(name, v)
	if err != nil {
		return err
	}
	return h.toOne(name, body, kind)
}

func (h *Hub) encode(name string, v any) ([]byte, wire.Kind, error) {
	if err := checkTopic(name); err != nil {
		return nil, 0, err
	}
	h.mu.Lock()
	c := h.codec
	h.mu.Unlock()
	data, kind, err := arpc.Encode(c, v)
	if err != nil {
		return nil, 0, fmt.Errorf("publish to %q: %w", name, err)
	}
	return publication{name, data, time.Now().UnixNano()}.append(nil), kind, nil
}

// append puts a publication into its topic, if that exists.
func (h *Hub) append(name string, body []byte, kind wire.Kind) Position {
	r := h.find(name)
	if r == nil {
		return Position{}
	}
	frame := push(body, wire.Outside, kind)
	offset := r.log.Append(func(offset uint64) []byte {
		wire.SetSeq(frame, offset)
		return frame
	})
	return Position{r.log.Epoch(), offset}
}

// toOne pushes a publication to the subscriber whose turn it is.
func (h *Hub) toOne(name string, body []byte, kind wire.Kind) error {
	r := h.find(name)
	if r == nil {
		return errNobody
	}
	return r.pushToOne(arpc.EncodedMessage(push(body, 0, kind)))
}

func (h *Hub) find(name string) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.topics[name]
}

// enter adds a subscription to its topic, which is made if it does not exist.
func (h *Hub) enter(name string, s *subscription) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	r := h.topics[name]
	if r == nil {
		if h.cfg.maxTopics > 0 && len(h.topics) >= h.cfg.maxTopics {
			return arpc.Errorf(arpc.CodeResourceExhausted, "%d topics exist, limit %d", len(h.topics), h.cfg.maxTopics)
		}
		r = newRoom(name, topic.NewLog(h.cfg.history))
		h.topics[name] = r
	}
	r.keepLocked()
	r.add(s)
	return nil
}

// exit removes a subscription. The last one to go leaves the topic to be
// collected, unless somebody comes in time.
func (h *Hub) exit(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := s.room
	if r.remove(s) > 0 || h.closed {
		return
	}
	r.collectLocked(h.cfg.linger, func() { h.collect(r) })
}

func (h *Hub) collect(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.topics[r.name] == r && r.size() == 0 {
		delete(h.topics, r.name)
	}
}

// Topics returns how many topics exist.
func (h *Hub) Topics() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics)
}

// Close ends the hub: nobody can subscribe any more, and no timer is left.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, r := range h.topics {
		r.keepLocked()
	}
}
