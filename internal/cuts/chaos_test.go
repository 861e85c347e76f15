package cuts_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
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

// chaos is a server and its clients, all at work, behind proxies that cut their
// connections at random bytes until there were enough cuts.
type chaos struct {
	*ledger
	seed      uint64
	quota     int64 // of cuts
	server    *pubsub.Server
	doors     []*cuts.Proxy // as doors
	client    hooks         // of all clients in Go
	accepting hooks
	armed     atomic.Bool
	cuts      atomic.Int64 // planned ones
	here      atomic.Int64 // sessions at the server
	gone      atomic.Int64 // and those that ended
	working   sync.WaitGroup
	over      chan struct{} // closed when nothing new is begun
}

// How many bytes of a connection get through before it is cut, either way, at most:
// powers of 2, of which the small ones are within hello.
const shortest, longest = 6, 15

func newChaos(t *testing.T, quota int) *chaos {
	x := &chaos{
		ledger: newLedger(), seed: uint64(time.Now().UnixNano()), quota: int64(quota), over: make(chan struct{}),
		server: pubsub.NewServer(pubsub.Open(), pubsub.History(topic.Limits{Entries: 1 << 17})),
	}
	t.Logf("seed %d", x.seed)
	h := x.server.Handler
	x.routes(h)
	x.accepting.watch(h)
	h.Handle("/here", func(ctx *arpc.Context) {
		c, name := ctx.Client, fmt.Sprint("s", x.here.Add(1))
		c.OnDisconnected(func(c *arpc.Client) {
			x.gone.Add(1)
			x.complain("the session of %s ended: %v", name, c.Err())
		})
		x.working.Go(func() { x.work(name, c) })
		x.write(ctx, "here")
	})
	tcp, web := arpctest.Doors(t, x.server)
	for i, address := range []string{strings.TrimPrefix(tcp, "tcp://"), strings.TrimPrefix(web, "ws://")} {
		random := x.random(fmt.Sprint("door ", i)) // which one goroutine at a time asks
		x.doors = append(x.doors, cuts.Start(t, cuts.Config{Server: address, Plan: func(int) *cuts.Cut { return x.cut(random) }}))
	}
	return x
}

// random is the source of one of those who do things at random.
func (x *chaos) random(who string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(who))
	return rand.New(rand.NewPCG(x.seed, h.Sum64()))
}

// cut is where the next connection ends.
func (x *chaos) cut(random *rand.Rand) *cuts.Cut {
	if !x.armed.Load() || x.cuts.Add(1) > x.quota+int64(len(doors)) {
		return nil
	}
	after := random.Int64N(1 << (shortest + random.IntN(longest-shortest+1))) // of each order as many
	return &cuts.Cut{Way: ways[random.IntN(2)], After: after, Reset: random.IntN(2) == 0}
}

// isOver reports whether there is to be nothing new, because there was enough or
// because something is wrong.
func (x *chaos) isOver() bool {
	select {
	case <-x.over:
		return true
	default:
		return x.failed()
	}
}

// work has one end ask, say and send what it can, to the other end.
func (x *chaos) work(name string, c *arpc.Client) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range 2 {
		all.Go(func() { x.keepOn(fmt.Sprint(name, " caller ", i), func(id string, r *rand.Rand) { x.ask1(c, id, r) }) })
	}
	all.Go(func() {
		x.keepOn(name+" notes", func(id string, r *rand.Rand) {
			for range 1 + r.IntN(10) {
				x.note(c, name+" note")
			}
			x.call(c, "/echo", id)
		})
	})
	all.Go(func() {
		x.keepOn(name+" streams", func(id string, r *rand.Rand) {
			if r.IntN(4) == 0 {
				x.tapped(c, id)
				return
			}
			sizes := make([]int, 1+r.IntN(12))
			for i := range sizes {
				sizes[i] = r.IntN(1 << r.IntN(13))
			}
			x.mirrored(c, id, sizes)
		})
	})
}

// keepOn does something until it is over, each time under another id.
func (x *chaos) keepOn(who string, f func(id string, r *rand.Rand)) {
	random := x.random(who)
	for n := 0; !x.isOver(); n++ {
		f(fmt.Sprint(who, " ", n), random)
	}
}

// ask1 makes one request, of whatever kind.
func (x *chaos) ask1(c *arpc.Client, id string, r *rand.Rand) {
	switch r.IntN(10) {
	case 0:
		x.refused(c, id)
	case 1:
		x.gaveUp(c, id)
	case 2, 3, 4:
		x.call(c, "/back", id)
	default:
		x.call(c, "/echo", id)
	}
}

// dial connects a client in Go.
func (x *chaos) dial(t *testing.T, i int) *pubsub.Client {
	t.Helper()
	h := arpc.NewHandler()
	x.routes(h)
	x.client.watch(h)
	h.HandleDisconnected(func(_ *arpc.Client, err error) { x.complain("the session of c%d ended: %v", i, err) })
	address := []string{"tcp://", "ws://"}[i%2] + x.doors[i%2].Address
	c, err := pubsub.Dial(t.Context(), address,
		pubsub.WithHandler(h), pubsub.WithClientOptions(arpc.WithBackoff(atOnce)), pubsub.WithTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	if err := c.Call("/here", nil, nil, patience); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChaos: clients in Go, and everything under way at once.
func TestChaos(t *testing.T) {
	x := newChaos(t, arpctest.Scaled(10_000))
	witnesses := make([]*witness.Witness, 12)
	run := newPublications()
	for i := range witnesses {
		c, name := x.dial(t, i), fmt.Sprint("c", i)
		witnesses[i] = x.follow(t, c, name)
		x.working.Go(func() { x.work(name, c.Client) })
		x.working.Go(func() { x.publishing(name, c, run) })
	}
	x.working.Go(func() { x.publishing("server", x.server, run) })
	x.cutEnough(t)
	x.working.Wait()
	for _, w := range witnesses {
		run.Subscribers = append(run.Subscribers, heard(t, w, run))
	}
	x.verify(t, "chaos", len(witnesses), 0, run.Run)
}

// cutEnough arms the doors and waits until there were enough cuts; without
// ARPC_SLOW twenty seconds are enough.
func (x *chaos) cutEnough(t *testing.T) {
	t.Helper()
	limit := 20 * time.Second
	if arpctest.Whole {
		limit = 10 * time.Minute
	}
	x.armed.Store(true)
	for _, door := range x.doors {
		door.CutAll(true)
	}
	enough := arpctest.Within(limit, func() bool { return x.isOver() || int64(x.made()) >= x.quota })
	if arpctest.Whole && !enough {
		t.Errorf("%d cuts after %v", x.made(), limit)
	}
	x.armed.Store(false)
	close(x.over)
}

// made is how many cuts there were.
func (x *chaos) made() (n int) {
	for _, door := range x.doors {
		n += door.Cuts()
	}
	return n
}

// verify says what is wrong, and what there was.
func (x *chaos) verify(t *testing.T, name string, inGo, inNode int, run checker.Run) {
	t.Helper()
	deliveries := witness.Verify(t, run)
	s, wrong := x.settle()
	for _, what := range wrong[:min(len(wrong), 20)] {
		t.Error(what)
	}
	x.sessions(t, inGo, inGo+inNode)
	for what, n := range map[string]any{
		"cuts": x.made(), "resumed": x.accepting.resumed.Load(), "calls": s.calls, "notifies": s.notes,
		"chunks": s.chunks, "deliveries": deliveries, "lost": s.lost, "doubled": s.doubled, "seed": x.seed,
	} {
		arpctest.Figure(t, name+"_"+what, n)
	}
}

// sessions sees that there were so many, at the clients in Go and at the server, and
// that none was lost.
func (x *chaos) sessions(t *testing.T, clients, accepted int) {
	t.Helper()
	if begun, lost := x.client.connected.Load(), x.client.disconnected.Load(); begun != int64(clients) || lost != 0 {
		t.Errorf("%d sessions began and %d were lost at the clients, of %d", begun, lost, clients)
	}
	if begun, lost := x.here.Load(), x.gone.Load(); begun != int64(accepted) || lost != 0 {
		t.Errorf("%d sessions began and %d were lost at the server, of %d", begun, lost, accepted)
	}
	if x.accepting.resumed.Load() == 0 || clients > 0 && x.client.resumed.Load() == 0 {
		t.Error("no session was resumed")
	}
}
