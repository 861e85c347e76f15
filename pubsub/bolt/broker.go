package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// Broker keeps topics in a file. It is one node's: other processes cannot have
// the file. All methods are safe for concurrent use.
type Broker struct {
	cfg   config
	file  *file
	queue *queue
	// Members and who takes a single frame are not durable: memory has them. It
	// gets no entries.
	local *broker.Memory

	committer committer
	calls     chan func()   // to be done by the committer
	stop      chan struct{} // closed when it is to end
	stopped   chan struct{} // closed when it has

	mu     sync.Mutex // guards what follows
	topics map[string]*topicState
	nextID uint64
	closed bool
	closer sync.Once
	result error // of Close
}

var _ broker.Broker = (*Broker)(nil)

// Open opens or makes the file of a broker. Beside it stands PATH.pid while it is
// open, and PATH.compact while it is compacted. The file must not be on a network
// file system.
//
// It reads and checks the whole file, which takes some seconds for a gigabyte. It fails within a second with ErrHeld if a process has the
// file open, and with ErrDamaged if the file is not what was written, unless
// StartOver says otherwise.
func Open(path string, opts ...Option) (*Broker, error) {
	cfg := newConfig(opts)
	f, found, err := openFile(path, &cfg)
	if errors.Is(err, ErrDamaged) && cfg.startOver {
		if err = setAside(path, err, cfg.logger); err == nil {
			f, found, err = openFile(path, &cfg)
		}
	}
	switch {
	case holds(err):
		return nil, fmt.Errorf("open %s: %w", path, errHeld(path))
	case errors.Is(err, ErrDamaged):
		return nil, fmt.Errorf("open %s: %w; put a backup in its place, or move it away and begin with empty topics", path, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	b := &Broker{
		cfg:     cfg,
		file:    f,
		local:   broker.NewMemory(0),
		calls:   make(chan func()),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		topics:  map[string]*topicState{},
		nextID:  found.about.nextID,
	}
	b.queue = newQueue(&b.cfg)
	b.file.cfg = &b.cfg
	b.committer.broker = b
	if err := b.begin(found); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.close(false))
	}
	go b.committer.run()
	return b, nil
}

// begin takes over what was in the file.
func (b *Broker) begin(found *contents) error {
	if err := writeHolder(b.file.path); err != nil { // the disk may be full
		b.cfg.logger.Warn("arpc: others cannot see who has the topics open", "error", err)
	}
	boot := bootID()
	if found.about.neverSync && !found.about.clean && (boot == "" || boot != found.about.boot) {
		b.cfg.logger.Warn("arpc: the machine went down while topics were written without syncs; they get new epochs")
		found.renew()
	}
	now := time.Now()
	changes := []change{{aboutBucket, aboutKey, about{nextID: b.nextID, neverSync: b.cfg.neverSync, boot: boot}.record()}}
	for name, t := range found.topics {
		b.topics[name] = &topicState{name: name, head: t.head, keys: t.keys, floor: t.floor, written: true, idle: now}
		changes = append(changes, change{headsBucket, []byte(name), t.record(name)})
	}
	b.committer.garbage = found.garbage
	if err := b.file.apply(changes); err != nil && (found.txid == 0 || !isFull(err)) {
		return err // if only room is wanting, what is there can be read
	}
	if err := b.file.sync(); err != nil {
		return err
	}
	return syncFolder(b.file.path)
}

// Append implements broker.Broker. It fails with resource_exhausted while the
// disk or the file is full or too many wait, and with unavailable if the file
// cannot be written for another reason.
func (b *Broker) Append(a broker.Append, done func(broker.Position, error)) {
	if err := b.queue.put(request{a, done}); err != nil {
		done(broker.Position{}, err)
	}
}

// find returns a topic. Without it, and without an error, there is none.
func (b *Broker) find(name string) (*topicState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, broker.ErrClosed
	}
	return b.topics[name], nil
}

// findOrMake returns a topic, which is in the file when something is written of it.
func (b *Broker) findOrMake(name string, s broker.Settings) (t *topicState, made bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, broker.ErrClosed
	}
	if t = b.topics[name]; t != nil {
		return t, false, nil
	}
	if limit := b.cfg.maxTopics; limit > 0 && len(b.topics) >= limit {
		return nil, false, arpc.Errorf(arpc.CodeResourceExhausted, "%d topics exist, limit %d", len(b.topics), limit)
	}
	h := head{id: b.nextID, epoch: newEpoch(), first: 1, settings: s}
	b.nextID++
	t = &topicState{name: name, head: h, floor: 1, idle: time.Now()}
	b.topics[name] = t
	return t, true, nil
}

// State implements broker.Broker.
func (b *Broker) State(_ context.Context, topic string) (broker.State, error) {
	t, err := b.find(topic)
	if t == nil {
		return broker.State{}, err
	}
	h := t.now()
	if h.expired(h.oldest, time.Now()) {
		err = b.dropExpired(&h)
	}
	return h.state(), err
}

// Subscribe implements broker.Broker. It does not wait for the disk: a topic
// that it makes is written soon after.
func (b *Broker) Subscribe(ctx context.Context, topic string, s broker.Settings, r broker.Receiver) (broker.State, func(), error) {
	for {
		t, made, err := b.findOrMake(topic, s)
		if err != nil {
			return broker.State{}, nil, err
		}
		f := &follower{receiver: r}
		h, ok := t.follow(f)
		if !ok {
			continue // it was forgotten in between
		}
		_, cancel, err := b.local.Subscribe(ctx, topic, broker.Settings{}, f)
		if err != nil {
			t.unfollow(f)
			return broker.State{}, nil, err
		}
		if made || h.settings != s {
			b.queue.touch(topic, s)
		}
		return h.state(), func() { t.unfollow(f); cancel() }, nil
	}
}

// SendToOne implements broker.Broker.
func (b *Broker) SendToOne(ctx context.Context, topic string, frame []byte) error {
	return b.local.SendToOne(ctx, topic, frame)
}

// Enter implements broker.Broker. Members are not in the file: after a restart
// they enter again.
func (b *Broker) Enter(ctx context.Context, topic string, m broker.Member, holder string) error {
	return b.local.Enter(ctx, topic, m, holder)
}

// Leave implements broker.Broker.
func (b *Broker) Leave(ctx context.Context, topic, id, holder string) error {
	return b.local.Leave(ctx, topic, id, holder)
}

// Members implements broker.Broker.
func (b *Broker) Members(ctx context.Context, topic string) (broker.Roster, error) {
	return b.local.Members(ctx, topic)
}

// Topics returns how many topics there are.
func (b *Broker) Topics() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.topics)
}

// Close implements broker.Broker. What waits to be written is written.
func (b *Broker) Close() error {
	b.closer.Do(func() { b.result = b.close() })
	return b.result
}

func (b *Broker) close() error {
	b.queue.refuse(broker.ErrClosed, time.Time{})
	close(b.stop)
	<-b.stopped
	b.mu.Lock()
	b.closed = true
	topics := b.topics
	b.topics = map[string]*topicState{}
	b.mu.Unlock()
	for _, t := range topics {
		t.leave()
	}
	err := errors.Join(b.local.Close(), b.markClean())
	removeHolder(b.file.path) // as long as the lock is ours
	return errors.Join(err, b.file.close(b.committer.damaged))
}

// markClean notes that nothing is missing in the file, where that was not sure.
func (b *Broker) markClean() error {
	if !b.cfg.neverSync || b.committer.failed() {
		return nil
	}
	if err := b.file.sync(); err != nil {
		return err
	}
	if err := b.file.apply([]change{b.about(true)}); err != nil {
		return fmt.Errorf("note that %s was closed: %w", b.file.path, err)
	}
	return b.file.sync()
}

// about is the record of the file as a whole.
func (b *Broker) about(clean bool) change {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := about{nextID: b.nextID, neverSync: b.cfg.neverSync, clean: clean, boot: bootID()}
	return change{aboutBucket, aboutKey, a.record()}
}
