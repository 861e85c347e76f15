package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// hear subscribes and returns what comes, as "offset:text".
func hear(t *testing.T, c *pubsub.Client, name string, opts ...pubsub.SubscribeOption) (<-chan string, *pubsub.Subscription) {
	t.Helper()
	heard := make(chan string, 10_000)
	s, err := c.Subscribe(name, func(m *pubsub.Message) { heard <- fmt.Sprintf("%d:%s", m.Offset, m.Data.Data) }, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return heard, s
}

func expect(t *testing.T, heard <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := arpctest.Receive(t, heard, w); got != w {
			t.Fatalf("heard %q, want %q", got, w)
		}
	}
}

func mustPublish(t *testing.T, s *pubsub.Server, name string, from, to int) (last pubsub.Position) {
	t.Helper()
	for i := from; i <= to; i++ {
		p, err := s.Publish(name, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		last = p
	}
	return last
}

func keepAll(_ string, s *pubsub.TopicSettings) { s.Keep = true }

func TestWhereASubscriptionBegins(t *testing.T) {
	s, tcp, web := start(t, pubsub.Open(), pubsub.Topics(keepAll), pubsub.History(topic.Limits{Entries: 5}))
	at := mustPublish(t, s, "t", 1, 8) // 4 to 8 are held
	for name, c := range map[string]struct {
		opts []pubsub.SubscribeOption
		want []string
		gaps []pubsub.Gap
	}{
		"now":              {nil, nil, nil},
		"the last two":     {[]pubsub.SubscribeOption{pubsub.Last(2)}, []string{"7:7", "8:8"}, nil},
		"more than held":   {[]pubsub.SubscribeOption{pubsub.Last(100)}, []string{"4:4", "5:5", "6:6", "7:7", "8:8"}, nil},
		"since":            {since(at.Epoch, 6), []string{"7:7", "8:8"}, nil},
		"since the edge":   {since(at.Epoch, 3), []string{"4:4", "5:5", "6:6", "7:7", "8:8"}, nil},
		"since too long":   {since(at.Epoch, 2), []string{"4:4", "5:5"}, []pubsub.Gap{{Epoch: at.Epoch, From: 4, Missed: 1}}},
		"since the future": {since(at.Epoch, 80), nil, []pubsub.Gap{{Epoch: at.Epoch, From: 9}}},
		"another life":     {since("another", 7), []string{"4:4"}, []pubsub.Gap{{Epoch: at.Epoch, From: 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, address := range []string{tcp, web} {
				var mu sync.Mutex
				var gaps []pubsub.Gap
				heard, sub := hear(t, dial(t, address), "t", append(c.opts, pubsub.OnGap(func(g pubsub.Gap) {
					mu.Lock()
					defer mu.Unlock()
					gaps = append(gaps, g)
				}))...)
				expect(t, heard, c.want...)
				arpctest.Eventually(t, "gaps", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return slices.Equal(gaps, c.gaps)
				})
				arpctest.Eventually(t, "the end", func() bool { return sub.Position() == at })
			}
		})
	}
}

func since(epoch string, offset uint64) []pubsub.SubscribeOption {
	return []pubsub.SubscribeOption{pubsub.Since(pubsub.Position{Epoch: epoch, Offset: offset})}
}

func TestAKeyLandsOnce(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp)
	heard, _ := hear(t, c, "t")
	first, err := c.Publish("t", "once", pubsub.Key("k"))
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []func() (pubsub.Position, error){
		func() (pubsub.Position, error) { return c.Publish("t", "twice", pubsub.Key("k")) },
		func() (pubsub.Position, error) { return s.Publish("t", "three times", pubsub.Key("k")) },
	} {
		if p, err := again(); err != nil || p != first {
			t.Errorf("again: %+v, %v; first %+v", p, err, first)
		}
	}
	mustPublish(t, s, "t", 2, 2)
	expect(t, heard, "1:once", "2:2")
	if _, err := c.Publish("t", "x", pubsub.Key(string(make([]byte, 129)))); arpc.CodeOf(err) != arpc.CodeInvalidArgument {
		t.Errorf("a long key: %v", err)
	}
}

// TestAKeyThatLandedNowhere: the position says so, and the key is as good as new.
func TestAKeyThatLandedNowhere(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp)
	publish := func(want uint64) {
		t.Helper()
		p, err := c.Publish("t", "x", pubsub.Key("k"))
		if err != nil || p.Offset != want || (p.Epoch == "") != (want == 0) {
			t.Errorf("%+v, %v, want offset %d", p, err, want)
		}
	}
	publish(0)
	if n := s.Hub.Topics(); n != 0 {
		t.Errorf("%d topics exist", n)
	}
	heard, _ := hear(t, c, "t")
	publish(1)
	publish(1)
	mustPublish(t, s, "t", 2, 2)
	expect(t, heard, "1:x", "2:2")
}

func TestHistory(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.Topics(keepAll), pubsub.History(topic.Limits{Entries: 500}))
	mustPublish(t, s, "t", 1, 600)
	c := dial(t, tcp)
	for name, want := range map[string]struct {
		q        pubsub.HistoryQuery
		from, to uint64
		more     bool
	}{
		"the newest":  {pubsub.HistoryQuery{}, 501, 600, true},
		"at most":     {pubsub.HistoryQuery{Limit: 1000}, 301, 600, true},
		"before":      {pubsub.HistoryQuery{Before: 150}, 101, 149, false},
		"after":       {pubsub.HistoryQuery{After: 598}, 599, 600, false},
		"after, some": {pubsub.HistoryQuery{After: 110, Limit: 5}, 111, 115, true},
	} {
		page, err := c.History("t", want.q)
		if err != nil {
			t.Fatal(err)
		}
		n := len(page.Messages)
		if n == 0 || page.Messages[0].Offset != want.from || page.Messages[n-1].Offset != want.to || page.More != want.more || page.From != 101 || page.Last != 600 {
			t.Errorf("%s: %d of %d to %d, %+v", name, n, page.From, page.Last, page.More)
			continue
		}
		if m := page.Messages[0]; string(m.Data.Data) != fmt.Sprint(want.from) || m.Topic != "t" || m.Epoch != page.Epoch || time.Since(m.Time) > time.Hour {
			t.Errorf("%s: first %+v", name, m)
		}
	}
	if page, err := c.History("nothing", pubsub.HistoryQuery{}); err != nil || page.Epoch != "" || page.Messages != nil {
		t.Errorf("of a topic that does not exist: %+v, %v", page, err)
	}
}

func TestEchoAndLatest(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	one, other := dial(t, tcp), dial(t, tcp)
	own, sub := hear(t, one, "t")
	quiet, _ := hear(t, other, "t", pubsub.NoEcho())
	publishBy := func(c *pubsub.Client, text string, opts ...pubsub.PublishOption) {
		t.Helper()
		if _, err := c.Publish("t", text, opts...); err != nil {
			t.Fatal(err)
		}
	}
	publishBy(one, "mine", pubsub.NoEcho())
	publishBy(one, "echoed")
	publishBy(other, "of the quiet one")
	mustPublish(t, s, "t", 4, 4)
	expect(t, own, "2:echoed", "3:of the quiet one", "4:4")
	expect(t, quiet, "1:mine", "2:echoed", "4:4")
	// What was skipped makes no hole. The position follows what was handled.
	arpctest.Eventually(t, "the fourth", func() bool { return sub.Position().Offset == 4 })

	release := make(chan struct{})
	var got []uint64
	var mu sync.Mutex
	_, err := other.Subscribe("price", func(m *pubsub.Message) {
		<-release
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m.Offset)
	}, pubsub.Latest(), pubsub.OnGap(func(g pubsub.Gap) { t.Errorf("a gap in the latest: %+v", g) }))
	if err != nil {
		t.Fatal(err)
	}
	const prices = 20_000
	payload := make([]byte, 2000)
	for range prices {
		if _, err := s.Publish("price", payload); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	arpctest.Eventually(t, "the newest", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) > 0 && got[len(got)-1] == prices
	})
	if len(got) > prices/2 || !slices.IsSorted(got) {
		t.Errorf("%d of %d prices", len(got), prices)
	}
}

func TestPresence(t *testing.T) {
	s, tcp, web := start(t, pubsub.Open(), pubsub.Grace(time.Hour))
	var mu sync.Mutex
	var told []string
	watcher := dial(t, tcp)
	_, sub := hear(t, watcher, "t", pubsub.WithPresence("watcher"), pubsub.OnMember(func(m pubsub.Member, here bool) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(string(m.Info), " ", here))
	}))
	heard := func(want ...string) {
		t.Helper()
		arpctest.Eventually(t, fmt.Sprint(want), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Equal(told, want)
		})
	}
	if n := len(sub.Members()); n != 1 {
		t.Errorf("%d members at first", n)
	}
	ada := dial(t, web, quickly)
	_, adas := hear(t, ada, "t", pubsub.WithPresence(map[string]string{"name": "ada"}))
	heard(`{"name":"ada"} true`)
	if len(adas.Members()) != 2 || len(sub.Members()) != 2 {
		t.Errorf("members: %v, %v", adas.Members(), sub.Members())
	}
	for range 3 { // a reconnect makes no noise
		ada.Restart()
		if _, err := ada.Publish("other", 1, pubsub.Key("k")); err != nil {
			t.Fatal(err)
		}
		arpctest.Eventually(t, "back", func() bool { return len(s.Hub.Subscribers("t")) == 2 })
	}
	members, err := watcher.Presence("t")
	if err != nil || len(members) != 2 {
		t.Errorf("presence: %v, %v", members, err)
	}
	if err := adas.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	heard(`{"name":"ada"} true`, `{"name":"ada"} false`)
	if len(sub.Members()) != 1 {
		t.Errorf("in the end: %v", sub.Members())
	}
}

func TestAMemberThatStaysAwayLeaves(t *testing.T) {
	_, tcp, _ := start(t, pubsub.Open(), pubsub.Grace(time.Millisecond))
	left := make(chan bool, 10)
	hear(t, dial(t, tcp), "t", pubsub.WithPresence(nil), pubsub.OnMember(func(_ pubsub.Member, here bool) { left <- here }))
	goes := dial(t, tcp)
	hear(t, goes, "t", pubsub.WithPresence(nil))
	if !arpctest.Receive(t, left, "join") {
		t.Error("it left before it came")
	}
	goes.Stop()
	if arpctest.Receive(t, left, "leave") {
		t.Error("it came again")
	}
}

// TestPermissions: each role may do with each topic what the table says, and a
// subscription that is revoked while publications come ends at once.
func TestPermissions(t *testing.T) {
	var revoked atomic.Bool
	denied := errors.New("a secret reason")
	s, tcp, _ := start(t, pubsub.Authorize(func(_ context.Context, a pubsub.Access) error {
		if a.Topic == "closed" || a.Topic == "read" && a.Operation == pubsub.OpPublish || revoked.Load() {
			return denied
		}
		return nil
	}))
	c := dial(t, tcp)
	for name, may := range map[string]map[pubsub.Operation]bool{
		"open":   {pubsub.OpSubscribe: true, pubsub.OpPublish: true, pubsub.OpHistory: true, pubsub.OpPresence: true},
		"read":   {pubsub.OpSubscribe: true, pubsub.OpHistory: true, pubsub.OpPresence: true},
		"closed": {},
	} {
		_, subscribe := c.Subscribe(name, func(*pubsub.Message) {})
		_, publish := c.Publish(name, 1)
		_, history := c.History(name, pubsub.HistoryQuery{})
		_, presence := c.Presence(name)
		for op, err := range map[pubsub.Operation]error{pubsub.OpSubscribe: subscribe, pubsub.OpPublish: publish, pubsub.OpHistory: history, pubsub.OpPresence: presence} {
			if may[op] != (err == nil) || err != nil && (arpc.CodeOf(err) != arpc.CodePermissionDenied || errors.Is(err, denied)) {
				t.Errorf("%s %s: %v", op, name, err)
			}
		}
	}
	ended := make(chan error, 1)
	var heard atomic.Int64
	if _, err := c.Subscribe("revoked", func(*pubsub.Message) { heard.Add(1) }, pubsub.OnEnd(func(err error) { ended <- err })); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "revoked", 1, 1000)
	arpctest.Eventually(t, "publications", func() bool { return heard.Load() > 0 })
	revoked.Store(true)
	s.Hub.Reauthorize(t.Context())
	mustPublish(t, s, "revoked", 1, 1000)
	if err := arpctest.Receive(t, ended, "end"); arpc.CodeOf(err) != arpc.CodePermissionDenied {
		t.Errorf("ended: %v", err)
	}
	if n := heard.Load(); n > 1000 {
		t.Errorf("%d publications after it was revoked", n-1000)
	}
	if n := len(s.Hub.Subscribers("revoked")); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}

func TestTheServerJoinsAndKicks(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	heard := make(chan string, 10)
	c := dial(t, tcp, pubsub.WithJoined(func(name string) func(*pubsub.Message) {
		return func(m *pubsub.Message) { heard <- fmt.Sprint(name, " ", string(m.Data.Data)) }
	}))
	hear(t, c, "mine")
	one := s.Clients()[0]
	if err := s.Hub.Join(t.Context(), one, "room"); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "room", 1, 2)
	expect(t, heard, "room 1", "room 2")
	if !s.Hub.Kick(one, "room", arpc.Errorf(arpc.CodePermissionDenied, "out")) || s.Hub.Kick(one, "room", nil) {
		t.Error("kicked twice, or not at all")
	}
	if n := len(s.Hub.Subscribers("room")); n != 0 {
		t.Errorf("%d are in the room", n)
	}
}

func TestIterating(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	sub, err := dial(t, tcp).Subscribe("t", nil)
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "t", 1, 3)
	next := uint64(1)
	for m, err := range sub.All(t.Context()) {
		if err != nil || m.Offset != next {
			t.Fatalf("%v, %v; want %d", m, err, next)
		}
		if next++; next == 4 {
			break
		}
	}
	if err := sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	for m, err := range sub.All(t.Context()) {
		t.Errorf("after the end: %v, %v", m, err)
	}
}

// lossy is a broker that loses what it delivers when it is told to, without a trace.
type lossy struct {
	*broker.Memory
	losing atomic.Bool
}

type lossyReceiver struct {
	broker.Receiver
	b *lossy
}

func (b *lossy) Subscribe(ctx context.Context, name string, s broker.Settings, r broker.Receiver) (broker.State, func(), error) {
	return b.Memory.Subscribe(ctx, name, s, lossyReceiver{r, b})
}

func (r lossyReceiver) Deliver(e broker.Entry) {
	if !r.b.losing.Load() {
		r.Receiver.Deliver(e)
	}
}

// TestWhatTheBrokerLosesIsFound: a hole by the next entry, the end of a topic by
// looking at it from time to time.
func TestWhatTheBrokerLosesIsFound(t *testing.T) {
	b := &lossy{Memory: broker.NewMemory(0)}
	s, tcp, _ := start(t, pubsub.Open(), pubsub.WithBroker(b), pubsub.CheckEvery(5*time.Millisecond))
	heard, _ := hear(t, dial(t, tcp), "t")
	mustPublish(t, s, "t", 1, 2)
	b.losing.Store(true)
	mustPublish(t, s, "t", 3, 5)
	b.losing.Store(false)
	mustPublish(t, s, "t", 6, 6)
	b.losing.Store(true)
	mustPublish(t, s, "t", 7, 9)
	expect(t, heard, "1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "7:7", "8:8", "9:9")
}

// away is a broker whose engine cannot be reached.
type away struct{ *broker.Memory }

var errAway = arpc.Errorf(arpc.CodeUnavailable, "no engine")

func (away) Append(_ broker.Append, done func(broker.Position, error)) {
	go done(broker.Position{}, errAway)
}

func (away) Subscribe(context.Context, string, broker.Settings, broker.Receiver) (broker.State, func(), error) {
	return broker.State{}, nil, errAway
}

func TestAnEngineThatIsAway(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.WithBroker(away{broker.NewMemory(0)}))
	c := dial(t, tcp)
	_, subscribe := c.Subscribe("t", func(*pubsub.Message) {})
	_, byClient := c.Publish("t", 1)
	_, byServer := s.Publish("t", 1)
	for what, err := range map[string]error{"subscribe": subscribe, "publish": byClient, "publish on the server": byServer} {
		if arpc.CodeOf(err) != arpc.CodeUnavailable {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := s.Hub.Topics(); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}

// TestBroadcastsSurviveAReconnect: the client says where it was.
func TestBroadcastsSurviveAReconnect(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	heard := make(chan string, 1000)
	h := arpc.NewHandler()
	h.Handle("/news", func(ctx *arpc.Context) { heard <- string(ctx.Body()) })
	c := dial(t, tcp, pubsub.WithHandler(h), pubsub.WithClientOptions(arpc.WithBackoff(arpc.Backoff{First: 50 * time.Millisecond, Max: 50 * time.Millisecond})),
		pubsub.WithBroadcastGap(func(g pubsub.Gap) { t.Errorf("gap %+v", g) }))
	next := 0
	for range 5 {
		c.Restart()
		for range 20 {
			if err := s.Broadcast("/news", fmt.Sprint(next)); err != nil {
				t.Fatal(err)
			}
			next++
		}
		for i := next - 20; i < next; i++ {
			expect(t, heard, fmt.Sprint(i))
		}
	}
}
