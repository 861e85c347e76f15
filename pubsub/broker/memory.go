package broker

import (
	"context"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
)

// Memory is the broker that keeps topics in this process: they end with it.
// Several hubs may share it. Its engine is never away.
type Memory struct {
	maxTopics int

	mu     sync.Mutex // guards what follows; taken before that of a topic
	topics map[string]*memoryTopic
	closed bool
}

var _ Broker = (*Memory)(nil)

// NewMemory returns an empty broker that holds at most maxTopics topics; zero
// means no bound.
func NewMemory(maxTopics int) *Memory {
	return &Memory{maxTopics: maxTopics, topics: map[string]*memoryTopic{}}
}

// Append implements Broker. done is called before it returns.
func (b *Memory) Append(a Append, done func(Position, error)) {
	done(b.append(a))
}

func (b *Memory) append(a Append) (Position, error) {
	for {
		t, err := b.find(a.Topic, a.Settings, a.Settings.Keep)
		if t == nil {
			return Position{}, err
		}
		if p, ok := t.append(a); ok {
			return p, nil
		} // it was forgotten in between
	}
}

// find returns a topic, and makes it if it is to be made. Without it, and
// without an error, there is none.
func (b *Memory) find(name string, s Settings, create bool) (*memoryTopic, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	t := b.topics[name]
	switch {
	case t != nil || !create:
		return t, nil
	case b.maxTopics > 0 && len(b.topics) >= b.maxTopics:
		return nil, arpc.Errorf(arpc.CodeResourceExhausted, "%d topics exist, limit %d", len(b.topics), b.maxTopics)
	}
	t = newMemoryTopic(b, name, s)
	b.topics[name] = t
	return t, nil
}

// Read implements Broker.
func (b *Memory) Read(_ context.Context, topic string, q Query) (Page, error) {
	t, err := b.find(topic, Settings{}, false)
	if t == nil {
		return Page{}, err
	}
	return t.read(q), nil
}

// State implements Broker.
func (b *Memory) State(_ context.Context, topic string) (State, error) {
	t, err := b.find(topic, Settings{}, false)
	if t == nil {
		return State{}, err
	}
	return t.state(), nil
}

// Subscribe implements Broker.
func (b *Memory) Subscribe(_ context.Context, topic string, s Settings, r Receiver) (State, func(), error) {
	for {
		t, err := b.find(topic, s, true)
		if err != nil {
			return State{}, nil, err
		}
		if state, cancel, ok := t.follow(s, r); ok {
			return state, cancel, nil
		}
	}
}

// SendToOne implements Broker.
func (b *Memory) SendToOne(_ context.Context, topic string, frame []byte) error {
	t, err := b.find(topic, Settings{}, false)
	if err != nil {
		return err
	}
	if t == nil || !t.sendToOne(frame) {
		return ErrNobody
	}
	return nil
}

// Enter implements Broker. A topic that does not exist has no members.
func (b *Memory) Enter(_ context.Context, topic string, m Member, holder string) error {
	t, err := b.find(topic, Settings{}, false)
	if t != nil {
		t.enter(m, holder)
	}
	return err
}

// Leave implements Broker.
func (b *Memory) Leave(_ context.Context, topic, id, holder string) error {
	t, err := b.find(topic, Settings{}, false)
	if t != nil {
		t.leave(id, holder)
	}
	return err
}

// Members implements Broker.
func (b *Memory) Members(_ context.Context, topic string) (Roster, error) {
	t, err := b.find(topic, Settings{}, false)
	if t == nil {
		return Roster{Members: []Member{}}, err
	}
	return t.roster(), nil
}

// Topics returns how many topics are held.
func (b *Memory) Topics() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.topics)
}

// Close implements Broker. Everything is forgotten.
func (b *Memory) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, t := range b.topics {
		t.end()
	}
	clear(b.topics)
	return nil
}

// collect forgets a topic that nothing holds any more.
func (b *Memory) collect(t *memoryTopic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics[t.name] == t && t.endIfIdle() {
		delete(b.topics, t.name)
	}
}
