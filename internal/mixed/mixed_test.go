package mixed_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/mixed"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve opens both doors to topics that keep so many publications, and creates
// topics, whose epochs it returns.
func serve(t *testing.T, kept int, names ...string) (s *pubsub.Server, tcp, web string, epochs map[string]string) {
	t.Helper()
	s = pubsub.NewServer(pubsub.Open(), pubsub.History(topic.Limits{Entries: kept}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	site := httptest.NewServer(s.WebSocket())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), arpctest.Wait)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		arpctest.Receive(t, served, "Serve")
		site.Close()
	})
	tcp, web = listener.Addr().String(), site.Listener.Addr().String()
	keeper := dial(t, "tcp://"+tcp)
	epochs = map[string]string{}
	for _, name := range names {
		sub, err := keeper.Subscribe(name, func(*pubsub.Message) {})
		if err != nil {
			t.Fatal(err)
		}
		epochs[name] = sub.Position().Epoch
	}
	return s, tcp, web, epochs
}

func dial(t *testing.T, address string) *pubsub.Client {
	t.Helper()
	quickly := arpc.WithBackoff(arpc.Backoff{First: time.Millisecond, Max: 20 * time.Millisecond, Stable: time.Millisecond})
	c, err := pubsub.Dial(t.Context(), address, pubsub.WithClientOptions(quickly), pubsub.WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c
}

// A witness is a Go subscriber that writes down what it hands to its application.
type witness struct {
	mu     sync.Mutex
	record checker.Subscriber
	left   int
	done   chan struct{} // closed when all has come
}

// follow subscribes to topics from their start; total messages will come.
func follow(t *testing.T, c *pubsub.Client, name string, epochs map[string]string, total int) *witness {
	t.Helper()
	w := &witness{record: checker.Subscriber{Name: name, Complete: map[string]uint64{}}, left: total, done: make(chan struct{})}
	for topic, epoch := range epochs {
		w.add(checker.Event{Kind: checker.Started, Topic: topic, Epoch: epoch})
		_, err := c.Subscribe(topic, func(m *pubsub.Message) {
			w.add(checker.Event{Kind: checker.Message, Topic: topic, Epoch: m.Epoch, Offset: m.Offset, Payload: string(m.Data.Data)})
		}, pubsub.Since(pubsub.Position{Epoch: epoch}), pubsub.OnGap(func(g pubsub.Gap) {
			kind := checker.Gap
			if g.Epoch != epoch {
				kind = checker.Epoch
			}
			w.add(checker.Event{Kind: kind, Topic: topic, Epoch: g.Epoch, Offset: g.From - 1})
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *witness) add(e checker.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.record.Events = append(w.record.Events, e)
	if e.Kind != checker.Message {
		return
	}
	if w.left--; w.left == 0 {
		close(w.done)
	}
}

// report waits until all has come, or for minutes.
func (w *witness) report(t *testing.T) checker.Subscriber {
	t.Helper()
	select {
	case <-w.done:
	case <-time.After(5 * time.Minute):
		t.Errorf("%s still waits", w.record.Name)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.record
	s.Events = append([]checker.Event(nil), s.Events...)
	return s
}

// publish publishes to each topic in turn, with keys.
func publish(t *testing.T, c *pubsub.Client, name string, topics []string, count int) []checker.Publication {
	var published []checker.Publication
	for n := range count {
		topic, payload := topics[n%len(topics)], fmt.Sprint(name, " ", n)
		at, err := c.Publish(topic, payload, pubsub.Key(payload))
		if err != nil {
			t.Errorf("%s: %v", payload, err)
			return published
		}
		published = append(published, checker.Publication{
			Topic: topic, Publisher: name, N: n, Payload: payload, Acked: true, Epoch: at.Epoch, Offset: at.Offset,
		})
	}
	return published
}

// verify runs the checker, of subscribers who were there to the end; none was to
// be told of a gap.
func verify(t *testing.T, run checker.Run, complete map[string]uint64) (deliveries int) {
	t.Helper()
	for i := range run.Subscribers {
		run.Subscribers[i].Complete = complete
		for _, e := range run.Subscribers[i].Events {
			switch e.Kind {
			case checker.Message:
				deliveries++
			case checker.Gap, checker.Epoch:
				t.Errorf("%s was told of %+v", run.Subscribers[i].Name, e)
			}
		}
	}
	for i, v := range checker.Check(run) {
		if i == 20 {
			t.Fatal("and more")
		}
		t.Error(v)
	}
	return deliveries
}

// socket is the URL of a WebSocket.
func socket(address string) string { return "ws://" + address + "/" }

// TestMixedOrder: publishers and subscribers of both languages, several topics:
// nothing is lost, doubled, out of order, or from nowhere.
func TestMixedOrder(t *testing.T) {
	const inGo, inNode, nodes, subscribers, nodeSubscribers = 4, 4, 2, 25, 12
	const publishers = inGo + inNode
	each := arpctest.Scaled(5000)
	total := publishers * each
	topics := []string{"a", "b", "c", "d"}
	_, tcp, web, epochs := serve(t, total, topics...)
	began := time.Now()
	var witnesses []*witness
	for i := range subscribers - nodeSubscribers {
		address := []string{"tcp://" + tcp, socket(web)}[i%2]
		witnesses = append(witnesses, follow(t, dial(t, address), fmt.Sprint("go ", i), epochs, total))
	}
	var processes []*mixed.Process
	for n := range nodes {
		var task mixed.Task
		for i := range nodeSubscribers / nodes {
			task.Subscribers = append(task.Subscribers, mixed.Subscriber{Name: fmt.Sprint("node ", n, i), URL: socket(web), Epochs: epochs, Total: total})
		}
		for i := range inNode / nodes {
			task.Publishers = append(task.Publishers, mixed.Publisher{Name: fmt.Sprint("from node ", n, i), URL: socket(web), Topics: topics, Count: each})
		}
		processes = append(processes, mixed.Start(t, task))
	}
	var run checker.Run
	published := make([][]checker.Publication, inGo)
	var publishing sync.WaitGroup
	for i := range inGo {
		c := dial(t, []string{"tcp://" + tcp, socket(web)}[i%2])
		publishing.Go(func() { published[i] = publish(t, c, fmt.Sprint("from go ", i), topics, each) })
	}
	for _, p := range processes {
		p.Publish(t)
	}
	publishing.Wait()
	for _, list := range published {
		run.Published = append(run.Published, list...)
	}
	collect(t, &run, witnesses, processes)
	complete := map[string]uint64{}
	for _, name := range topics {
		complete[name] = uint64(total / len(topics))
	}
	deliveries := verify(t, run, complete)
	if deliveries != subscribers*total {
		t.Errorf("%d deliveries, want %d", deliveries, subscribers*total)
	}
	arpctest.Figure(t, "mixed_order_deliveries", deliveries)
	arpctest.Figure(t, "mixed_order_seconds", time.Since(began).Seconds())
}

// collect waits for everybody, and adds what they say to a run.
func collect(t *testing.T, run *checker.Run, witnesses []*witness, processes []*mixed.Process) {
	t.Helper()
	for _, w := range witnesses {
		run.Subscribers = append(run.Subscribers, w.report(t))
	}
	for _, p := range processes {
		published, heard := p.Report(t)
		run.Published = append(run.Published, published...)
		run.Subscribers = append(run.Subscribers, heard...)
	}
}

// TestMixedRecovery: connections of both languages are cut at random bytes, those
// of publishers too, and nobody loses anything or gets anything twice.
func TestMixedRecovery(t *testing.T) {
	const subscribers, nodeSubscribers, nodes, publishers = 50, 20, 2, 4
	messages, inAll := arpctest.Scaled(20_000), arpctest.Scaled(200)
	cuts := max(1, inAll/subscribers)
	within := messages * 40 / (cuts + 1) // fewer bytes than its messages are
	_, tcp, web, epochs := serve(t, messages, "t")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var cutters []*mixed.Cutter
	behind := func(server string, within int) string {
		c := mixed.NewCutter(t, server, seed+uint64(len(cutters)), cuts, within)
		cutters = append(cutters, c)
		return c.Address
	}
	var witnesses []*witness
	for i := range subscribers - nodeSubscribers {
		address := "tcp://" + behind(tcp, within)
		if i%2 > 0 {
			address = socket(behind(web, within))
		}
		witnesses = append(witnesses, follow(t, dial(t, address), fmt.Sprint("go ", i), epochs, messages))
	}
	each := messages / publishers
	var processes []*mixed.Process
	for n := range nodes {
		task := mixed.Task{Publishers: []mixed.Publisher{{Name: fmt.Sprint("from node ", n), URL: socket(behind(web, within)), Topics: []string{"t"}, Count: each}}}
		for i := range nodeSubscribers / nodes {
			task.Subscribers = append(task.Subscribers, mixed.Subscriber{Name: fmt.Sprint("node ", n, i), URL: socket(behind(web, within)), Epochs: epochs, Total: messages})
		}
		processes = append(processes, mixed.Start(t, task))
	}
	fromGo := []*pubsub.Client{dial(t, "tcp://"+behind(tcp, within)), dial(t, socket(behind(web, within)))}
	for _, c := range cutters {
		c.Arm()
	}
	var run checker.Run
	for _, p := range processes {
		p.Publish(t)
	}
	published := make([][]checker.Publication, len(fromGo))
	var publishing sync.WaitGroup
	for i, c := range fromGo {
		publishing.Go(func() { published[i] = publish(t, c, fmt.Sprint("from go ", i), []string{"t"}, each) })
	}
	publishing.Wait()
	for _, list := range published {
		run.Published = append(run.Published, list...)
	}
	collect(t, &run, witnesses, processes)
	deliveries := verify(t, run, map[string]uint64{"t": uint64(messages)})
	if deliveries != subscribers*messages {
		t.Errorf("%d deliveries, want %d", deliveries, subscribers*messages)
	}
	cut := 0
	for _, c := range cutters {
		cut += c.Cuts()
	}
	if want := cuts * subscribers; cut < want {
		t.Errorf("%d connections were cut, want %d", cut, want)
	}
	arpctest.Figure(t, "mixed_recovery_cuts", cut)
	arpctest.Figure(t, "mixed_recovery_deliveries", deliveries)
	arpctest.Figure(t, "mixed_recovery_seed", seed)
}
