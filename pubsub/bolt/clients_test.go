package bolt

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/witness"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/checker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// serveClients is a server on an address, until standard input ends.
func serveClients(b *Broker, address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	s := pubsub.NewServer(pubsub.Open(), pubsub.WithBroker(b), pubsub.History(topic.Limits{Entries: 1_000_000}))
	go func() { _ = s.Serve(ln) }()
	say("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.Shutdown(ctx) // it ends, in time or not
}

// end ends a child in order.
func (c *child) end(t *testing.T) {
	t.Helper()
	_ = c.stdin.Close()
	for range c.lines { // until it is gone
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the server ended: %v", err)
	}
}

func dial(t *testing.T, address string) *pubsub.Client {
	t.Helper()
	quickly := arpc.WithBackoff(arpc.Backoff{First: 10 * time.Millisecond, Max: 200 * time.Millisecond})
	c, err := pubsub.Dial(t.Context(), "tcp://"+address, pubsub.WithClientOptions(quickly))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); <-c.Done() })
	return c
}

// TestClientsAcrossRestarts: a restart, in order or not, is one more reconnect:
// publishers and subscribers go on, and nothing is lost or doubled.
func TestClientsAcrossRestarts(t *testing.T) {
	restarts := 2
	if arpctest.Whole {
		restarts = 20
	}
	path := filepath.Join(t.TempDir(), "topics.db")
	address := arpctest.Address(t, "127.0.0.1")
	server := start(t, "serve", path, address)
	<-server.lines

	var names []string
	for i := range topics {
		names = append(names, topicOf(i))
	}
	epochs := witness.Epochs(t, dial(t, address), names...)
	var witnesses []*witness.Witness
	for i := range 6 {
		w := witness.New(fmt.Sprint("subscriber ", i))
		c := dial(t, address)
		for name, epoch := range epochs {
			w.Subscribe(t, c, name, epoch)
		}
		witnesses = append(witnesses, w)
	}

	var stop atomic.Bool
	var acked atomic.Int64
	var publishing sync.WaitGroup
	published := make([][]checker.Publication, 8)
	for i := range published {
		c := dial(t, address)
		publishing.Go(func() { published[i] = publishKeyed(t, c, i, &stop, &acked) })
	}
	for round := range restarts {
		some := acked.Load() + 500
		arpctest.Eventually(t, "publishers go on", func() bool { return acked.Load() > some || t.Failed() })
		if round%2 == 0 {
			server.kill()
		} else {
			server.end(t)
		}
		server = start(t, "serve", path, address)
		<-server.lines
	}
	some := acked.Load() + 500
	arpctest.Eventually(t, "publishers go on", func() bool { return acked.Load() > some || t.Failed() })
	stop.Store(true)
	publishing.Wait()

	run := checker.Run{}
	complete := map[string]uint64{}
	for _, list := range published {
		run.Published = append(run.Published, list...)
		for _, p := range list {
			complete[p.Topic] = max(complete[p.Topic], p.Offset)
		}
	}
	for _, w := range witnesses {
		run.Subscribers = append(run.Subscribers, w.Report(t, int(acked.Load()), complete))
	}
	witness.NoGaps(t, run)
	found := map[string]int{}
	for _, v := range checker.Check(run) {
		found[v.Rule]++
		t.Error(v)
	}
	arpctest.Figure(t, "bolt_restarts", restarts)
	arpctest.Figure(t, "bolt_restarts_publications", acked.Load())
	arpctest.Figure(t, "bolt_restarts_deliveries", acked.Load()*int64(len(witnesses)))
	arpctest.Figure(t, "bolt_restarts_lost", found["R4"])
	arpctest.Figure(t, "bolt_restarts_doubled", found["R5"])
	server.end(t)
}

// publishKeyed publishes one after the other, each until it is acknowledged.
func publishKeyed(t *testing.T, c *pubsub.Client, publisher int, stop *atomic.Bool, acked *atomic.Int64) (list []checker.Publication) {
	for n := 1; !stop.Load(); n++ {
		p := checker.Publication{Topic: topicOf(publisher), Publisher: fmt.Sprint(publisher), N: n, Payload: fmt.Sprintf("%d/%d", publisher, n), Acked: true}
		for {
			at, err := c.Publish(p.Topic, p.Payload, pubsub.Key(p.Payload))
			if err == nil {
				p.Epoch, p.Offset = at.Epoch, at.Offset
				break
			}
			if code := arpc.CodeOf(err); code != arpc.CodeUnavailable && code != arpc.CodeDeadlineExceeded {
				t.Errorf("publisher %d: %v", publisher, err)
				return list
			}
		}
		list = append(list, p)
		acked.Add(1)
	}
	return list
}
