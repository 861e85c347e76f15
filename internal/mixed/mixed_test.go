package mixed_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
	"github.com/seed-fbfaa03e/arpc/internal/mixed"
	"github.com/seed-fbfaa03e/arpc/internal/witness"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve opens both doors to topics that keep so many publications, and creates
// topics, whose epochs it returns.
func serve(t *testing.T, kept int, names ...string) (doors []string, epochs map[string]string) {
	t.Helper()
	tcp, web := arpctest.Doors(t, pubsub.NewServer(pubsub.Open(), pubsub.History(topic.Limits{Entries: kept})))
	return []string{tcp, web}, witness.Epochs(t, dial(t, tcp), names...)
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

// follow subscribes a Go client to topics from their start.
func follow(t *testing.T, address, name string, epochs map[string]string) *witness.Witness {
	t.Helper()
	w, c := witness.New(name), dial(t, address)
	for topic, epoch := range epochs {
		w.Subscribe(t, c, topic, epoch)
	}
	return w
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

// TestMixedOrder: publishers and subscribers of both languages, several topics:
// nothing is lost, doubled, out of order, or from nowhere.
func TestMixedOrder(t *testing.T) {
	const inGo, inNode, nodes, subscribers, nodeSubscribers = 4, 4, 2, 25, 12
	const publishers = inGo + inNode
	each := arpctest.Scaled(5000)
	total := publishers * each
	topics := []string{"a", "b", "c", "d"}
	doors, epochs := serve(t, total, topics...)
	began := time.Now()
	var witnesses []*witness.Witness
	for i := range subscribers - nodeSubscribers {
		witnesses = append(witnesses, follow(t, doors[i%2], fmt.Sprint("go ", i), epochs))
	}
	var processes []mixed.Process
	for n := range nodes {
		var task mixed.Task
		for i := range nodeSubscribers / nodes {
			task.Subscribers = append(task.Subscribers, mixed.Subscriber{Name: fmt.Sprint("node ", n, i), URL: doors[1], Epochs: epochs, Total: total})
		}
		for i := range inNode / nodes {
			task.Publishers = append(task.Publishers, mixed.Publisher{Name: fmt.Sprint("from node ", n, i), URL: doors[1], Topics: topics, Count: each})
		}
		processes = append(processes, mixed.Start(t, task))
	}
	var run checker.Run
	published := make([][]checker.Publication, inGo)
	var publishing sync.WaitGroup
	for i := range inGo {
		c := dial(t, doors[i%2])
		publishing.Go(func() { published[i] = publish(t, c, fmt.Sprint("from go ", i), topics, each) })
	}
	for _, p := range processes {
		p.Publish(t)
	}
	publishing.Wait()
	for _, list := range published {
		run.Published = append(run.Published, list...)
	}
	complete := map[string]uint64{}
	for _, name := range topics {
		complete[name] = uint64(total / len(topics))
	}
	deliveries := verify(t, run, witnesses, processes, total, complete)
	if deliveries != subscribers*total {
		t.Errorf("%d deliveries, want %d", deliveries, subscribers*total)
	}
	arpctest.Figure(t, "mixed_order_deliveries", deliveries)
	arpctest.Figure(t, "mixed_order_seconds", time.Since(began).Seconds())
}

// verify waits for everybody, and checks a run with what they say: each got so many
// messages, was there to the end, and was told of no gap.
func verify(t *testing.T, run checker.Run, witnesses []*witness.Witness, processes []mixed.Process, messages int, complete map[string]uint64) (deliveries int) {
	t.Helper()
	for _, w := range witnesses {
		run.Subscribers = append(run.Subscribers, w.Report(t, messages, complete))
	}
	for _, p := range processes {
		published, heard := p.Report(t)
		run.Published = append(run.Published, published...)
		for _, s := range heard {
			s.Complete = complete
			run.Subscribers = append(run.Subscribers, s)
		}
	}
	witness.NoGaps(t, run)
	return witness.Verify(t, run)
}

// TestMixedRecovery: connections of both languages are cut at random bytes, those
// of publishers too, and nobody loses anything or gets anything twice.
func TestMixedRecovery(t *testing.T) {
	const subscribers, nodeSubscribers, nodes, publishers = 50, 20, 2, 4
	messages, inAll := arpctest.Scaled(20_000), arpctest.Scaled(200)
	each := max(1, inAll/subscribers)
	within := messages * 40 / (each + 1) // fewer bytes than its messages are
	doors, epochs := serve(t, messages, "t")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var traps []*cuts.Trap
	behind := func(door string, ways ...cuts.Way) string {
		scheme, server, _ := strings.Cut(door, "://")
		random := rand.New(rand.NewPCG(seed, uint64(len(traps))))
		trap := cuts.NewTrap(t, server, random, each, within/len(ways), ways...)
		traps = append(traps, trap)
		return scheme + "://" + trap.Address
	}
	var witnesses []*witness.Witness
	for i := range subscribers - nodeSubscribers {
		witnesses = append(witnesses, follow(t, behind(doors[i%2], cuts.Down), fmt.Sprint("go ", i), epochs))
	}
	publications := messages / publishers
	var processes []mixed.Process
	for n := range nodes {
		task := mixed.Task{Publishers: []mixed.Publisher{{Name: fmt.Sprint("from node ", n), URL: behind(doors[1], cuts.Up, cuts.Down), Topics: []string{"t"}, Count: publications}}}
		for i := range nodeSubscribers / nodes {
			task.Subscribers = append(task.Subscribers, mixed.Subscriber{Name: fmt.Sprint("node ", n, i), URL: behind(doors[1], cuts.Down), Epochs: epochs, Total: messages})
		}
		processes = append(processes, mixed.Start(t, task))
	}
	fromGo := []*pubsub.Client{dial(t, behind(doors[0], cuts.Up, cuts.Down)), dial(t, behind(doors[1], cuts.Up, cuts.Down))}
	for _, trap := range traps {
		trap.Arm()
	}
	var run checker.Run
	for _, p := range processes {
		p.Publish(t)
	}
	published := make([][]checker.Publication, len(fromGo))
	var publishing sync.WaitGroup
	for i, c := range fromGo {
		publishing.Go(func() { published[i] = publish(t, c, fmt.Sprint("from go ", i), []string{"t"}, publications) })
	}
	publishing.Wait()
	for _, list := range published {
		run.Published = append(run.Published, list...)
	}
	deliveries := verify(t, run, witnesses, processes, messages, map[string]uint64{"t": uint64(messages)})
	if deliveries != subscribers*messages {
		t.Errorf("%d deliveries, want %d", deliveries, subscribers*messages)
	}
	cut := 0
	for _, trap := range traps {
		cut += trap.Cuts()
	}
	if want := each * subscribers; cut < want {
		t.Errorf("%d connections were cut, want %d", cut, want)
	}
	arpctest.Figure(t, "mixed_recovery_cuts", cut)
	arpctest.Figure(t, "mixed_recovery_deliveries", deliveries)
	arpctest.Figure(t, "mixed_recovery_seed", seed)
}
