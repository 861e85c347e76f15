package pubsub_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
	"github.com/seed-fbfaa03e/arpc/internal/witness"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func seed(t *testing.T) (uint64, *rand.Rand) {
	n := uint64(time.Now().UnixNano())
	t.Logf("seed %d", n)
	return n, rand.New(rand.NewPCG(n, 0))
}

// TestOrder: many publishers, many subscribers, several topics: nothing is lost,
// doubled, out of order, or from nowhere.
func TestOrder(t *testing.T) {
	const publishers, subscribers = 8, 25
	each := arpctest.Scaled(5000)
	names := []string{"a", "b", "c", "d"}
	_, tcp, web := start(t, pubsub.Open(), pubsub.History(topic.Limits{Entries: publishers * each}))
	known := witness.Epochs(t, dial(t, tcp), names...)
	complete := map[string]uint64{}
	for _, name := range names {
		complete[name] = uint64(publishers * each / len(names))
	}
	witnesses := make([]*witness.Witness, subscribers)
	for i := range witnesses {
		witnesses[i] = witness.New(fmt.Sprint("s", i))
		c := dial(t, []string{web, tcp}[i%2])
		for _, name := range names {
			witnesses[i].Subscribe(t, c, name, known[name])
		}
	}
	began := time.Now()
	published := make([][]checker.Publication, publishers)
	var publishing sync.WaitGroup
	for p := range publishers {
		c := dial(t, []string{tcp, web}[p%2])
		publishing.Go(func() {
			for n := range each {
				name := names[n%len(names)]
				payload := fmt.Sprint(p, " ", n)
				at, err := c.Publish(name, payload)
				if err != nil {
					t.Error(err)
					return
				}
				published[p] = append(published[p], checker.Publication{
					Topic: name, Publisher: fmt.Sprint("p", p), N: n, Payload: payload, Acked: true, Epoch: at.Epoch, Offset: at.Offset,
				})
			}
		})
	}
	publishing.Wait()
	run := checker.Run{Published: slices.Concat(published...)}
	for _, w := range witnesses {
		run.Subscribers = append(run.Subscribers, w.Report(t, publishers*each, complete))
	}
	arpctest.Figure(t, "order_deliveries", witness.Verify(t, run))
	arpctest.Figure(t, "order_seconds", time.Since(began).Seconds())
}

var quickly = pubsub.WithClientOptions(arpc.WithBackoff(arpc.Backoff{First: time.Millisecond, Max: 20 * time.Millisecond, Stable: time.Millisecond}))

// TestRecovery: connections are cut at random bytes, and no subscriber loses
// anything or gets anything twice.
func TestRecovery(t *testing.T) {
	const subscribers = 50
	messages, inAll := arpctest.Scaled(20_000), arpctest.Scaled(200)
	s, tcp, _ := start(t, pubsub.Open(), pubsub.History(topic.Limits{Entries: messages}))
	known := witness.Epochs(t, dial(t, tcp), "t")["t"]
	number, random := seed(t)
	each := max(1, inAll/subscribers)
	var traps []*cuts.Trap
	var witnesses []*witness.Witness
	for i := range subscribers {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		trap := cuts.NewTrap(t, strings.TrimPrefix(tcp, "tcp://"), own, each, messages*35/(each+1), cuts.Down)
		c := dial(t, "tcp://"+trap.Address, quickly, pubsub.WithErrorHandler(func(topic string, err error) { t.Errorf("%s: %v", topic, err) }))
		w := witness.New(fmt.Sprint("s", i))
		w.Subscribe(t, c, "t", known)
		trap.Arm() // the first connection of a client is not cut
		traps, witnesses = append(traps, trap), append(witnesses, w)
	}
	var run checker.Run
	for n := range messages {
		payload := fmt.Sprint("message ", n)
		at, err := s.Publish("t", payload)
		if err != nil {
			t.Fatal(err)
		}
		run.Published = append(run.Published, checker.Publication{Topic: "t", Publisher: "p", N: n, Payload: payload, Acked: true, Epoch: at.Epoch, Offset: at.Offset})
		if n%20 == 0 {
			time.Sleep(time.Millisecond) // the publisher is not in a hurry: connections live and die meanwhile
		}
	}
	cut := 0
	for i, w := range witnesses {
		run.Subscribers = append(run.Subscribers, w.Report(t, messages, map[string]uint64{"t": uint64(messages)}))
		cut += traps[i].Cuts()
	}
	if cut < inAll/2 {
		t.Errorf("only %d connections were cut", cut)
	}
	witness.NoGaps(t, run)
	witness.Verify(t, run)
	arpctest.Figure(t, "recovery_cuts", cut)
	arpctest.Figure(t, "recovery_seed", number)
}

// TestGapsAreSignalledOnce: who was away for longer than the history is told, once.
func TestGapsAreSignalledOnce(t *testing.T) {
	const history, rounds = 1000, 5
	s, tcp, _ := start(t, pubsub.Open(), pubsub.History(topic.Limits{Entries: history}))
	known := witness.Epochs(t, dial(t, tcp), "t")["t"]
	for round := range rounds {
		for _, away := range []int{history, history + 1, history + 500} {
			var heard atomic.Int64
			var gaps []pubsub.Gap
			var mu sync.Mutex
			c := dial(t, tcp)
			sub, err := c.Subscribe("t", func(*pubsub.Message) { heard.Add(1) })
			if err != nil {
				t.Fatal(err)
			}
			at := sub.Position()
			c.Stop()
			arpctest.Closed(t, c.Done(), "client")
			for range away {
				if _, err := s.Publish("t", round); err != nil {
					t.Fatal(err)
				}
			}
			again := dial(t, tcp)
			_, err = again.Subscribe("t", func(*pubsub.Message) { heard.Add(1) }, pubsub.Since(at), pubsub.OnGap(func(g pubsub.Gap) {
				mu.Lock()
				defer mu.Unlock()
				gaps = append(gaps, g)
			}))
			if err != nil {
				t.Fatal(err)
			}
			arpctest.Eventually(t, "what is held", func() bool { return heard.Load() == history })
			mu.Lock()
			missed := uint64(away - history)
			want := []pubsub.Gap{{Epoch: known, From: at.Offset + missed + 1, Missed: missed}}
			if away == history {
				want = nil
			}
			if !slices.Equal(gaps, want) {
				t.Errorf("away for %d: told %+v, want %+v", away, gaps, want)
			}
			mu.Unlock()
			again.Stop()
			arpctest.Closed(t, again.Done(), "client")
		}
	}
}

// TestSubscribeAndUnsubscribeRace: who is subscribed in the end gets what is
// published then, and nobody else does.
func TestSubscribeAndUnsubscribeRace(t *testing.T) {
	rounds := arpctest.Scaled(600)
	s, tcp, web := start(t, pubsub.Open())
	clients := []*pubsub.Client{dial(t, tcp), dial(t, web), dial(t, tcp)}
	for round := range rounds {
		name := fmt.Sprint("t", round)
		var got [3]atomic.Int64
		var subscribed [3]*pubsub.Subscription
		var racing sync.WaitGroup
		for i, c := range clients {
			racing.Go(func() {
				for turn := range 3 {
					sub, err := c.Subscribe(name, func(*pubsub.Message) { got[i].Add(1) })
					if err != nil {
						t.Error(err)
						return
					}
					subscribed[i] = sub
					if turn == 2 && (round+i)%2 == 0 {
						return
					}
					if err := sub.Unsubscribe(); err != nil {
						t.Error(err)
					}
					subscribed[i] = nil
				}
			})
		}
		racing.Wait()
		if _, err := s.Publish(name, "x"); err != nil {
			t.Fatal(err)
		}
		for i, c := range clients {
			if subscribed[i] != nil {
				arpctest.Eventually(t, "the publication", func() bool { return got[i].Load() == 1 })
				continue
			}
			if _, err := c.History(name, pubsub.HistoryQuery{}); err != nil { // behind whatever was pushed
				t.Fatal(err)
			}
			if n := got[i].Load(); n != 0 {
				t.Errorf("round %d: client %d got %d after its unsubscribe was answered", round, i, n)
			}
		}
	}
	arpctest.Figure(t, "race_rounds", rounds)
}

// TestWhoDoesNotReadHoldsUpNobody for the length of many publications, and then
// catches up.
func TestWhoDoesNotReadHoldsUpNobody(t *testing.T) {
	const others = 100
	messages := arpctest.Scaled(30_000)
	s, tcp, web := start(t, pubsub.Open(), pubsub.History(topic.Limits{Entries: messages}))
	known := witness.Epochs(t, dial(t, tcp), "t")["t"]
	var run checker.Run
	follow := func(address, name string, block <-chan struct{}) *witness.Witness {
		w := witness.New(name)
		w.Add(checker.Event{Kind: checker.Started, Topic: "t", Epoch: known})
		c := dial(t, address)
		_, err := c.Subscribe("t", func(m *pubsub.Message) {
			<-block
			number, _, _ := bytes.Cut(m.Data.Data, []byte("x"))
			w.Add(checker.Event{Kind: checker.Message, Topic: "t", Epoch: m.Epoch, Offset: m.Offset, Payload: string(number)})
		}, pubsub.Since(pubsub.Position{Epoch: known}))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	open := make(chan struct{})
	close(open)
	reads := make(chan struct{})
	slow := follow(tcp, "slow", reads)
	var fast []*witness.Witness
	for i := range others {
		fast = append(fast, follow([]string{tcp, web}[i%2], fmt.Sprint("fast ", i), open))
	}
	padding := strings.Repeat("x", 1000) // more than sockets and queues hold
	for n := range messages {
		payload := fmt.Sprint(n)
		at, err := s.Publish("t", payload+padding)
		if err != nil {
			t.Fatal(err)
		}
		run.Published = append(run.Published, checker.Publication{Topic: "t", Publisher: "p", N: n, Payload: payload, Acked: true, Epoch: at.Epoch, Offset: at.Offset})
		if n%100 == 99 {
			arpctest.EventuallyWithin(t, 5*time.Minute, "the others", func() bool { return fast[n%others].Heard() >= n })
		}
	}
	complete := map[string]uint64{"t": uint64(messages)}
	for _, w := range fast {
		run.Subscribers = append(run.Subscribers, w.Report(t, messages, complete))
	}
	if n := slow.Heard(); n != 0 {
		t.Errorf("who does not read has read %d", n)
	}
	close(reads)
	run.Subscribers = append(run.Subscribers, slow.Report(t, messages, complete))
	arpctest.Figure(t, "slow_reader_deliveries", witness.Verify(t, run))
}
