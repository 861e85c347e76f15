package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// whoTheirTokenSays makes clients who their token, or their password, says.
func whoTheirTokenSays(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
	if cr.Token == "" {
		return nil, nil
	}
	return &arpc.Identity{ID: cr.Token}, nil
}

// tokenOf makes a client show a token.
func tokenOf(token string) pubsub.ClientOption {
	return pubsub.WithClientOptions(arpc.WithToken(func(context.Context) (string, error) { return token, nil }))
}

// rules are what each role may do with each topic. They may change.
type rules struct {
	mu      sync.Mutex
	allowed map[string]bool
}

func ruleOf(role, topic string, op pubsub.Operation) string {
	return fmt.Sprint(role, " ", topic, " ", op)
}

func (r *rules) may(role, topic string, op pubsub.Operation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.allowed[ruleOf(role, topic, op)]
}

func (r *rules) set(role, topic string, op pubsub.Operation, may bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed[ruleOf(role, topic, op)] = may
}

func (r *rules) authorize(_ context.Context, a pubsub.Access) error {
	if !r.may(a.Client.Identity().ID, a.Topic, a.Operation) {
		return errors.New("a reason that stays here")
	}
	return nil
}

var operations = []pubsub.Operation{pubsub.OpSubscribe, pubsub.OpPublish, pubsub.OpHistory, pubsub.OpPresence}

// shuffle allows about half of everything, and returns the names of roles and topics.
func (r *rules) shuffle(random *rand.Rand) (roles, topics []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed = map[string]bool{}
	for i := range 10 {
		roles, topics = append(roles, fmt.Sprint("role ", i)), append(topics, fmt.Sprint("topic ", i))
	}
	for _, role := range roles {
		for _, topic := range topics {
			for _, op := range operations {
				r.allowed[ruleOf(role, topic, op)] = random.IntN(2) == 0
			}
		}
	}
	return roles, topics
}

// TestRolesAndTopics: ten roles and ten topics, each operation with both
// protocols, and as part of hello.
func TestRolesAndTopics(t *testing.T) {
	_, random := seed(t)
	r := &rules{}
	roles, topics := r.shuffle(random)
	s := pubsub.NewServer(pubsub.Authorize(r.authorize))
	s.Handler.HandleAuthenticate(whoTheirTokenSays)
	tcp, web := serve(t, s)
	asked := 0
	for i, role := range roles {
		c := dial(t, []string{tcp, web}[i%2], tokenOf(role), quickly)
		old := dial(t, tcp, pubsub.WithPassword(role), pubsub.WithClientOptions(arpc.WithHello(arpc.HelloNever)))
		verdict := func(what, topic string, op pubsub.Operation, err error) {
			t.Helper()
			asked++
			// The base protocol has the text of the answer and no code.
			if may := r.may(role, topic, op); may != (err == nil) || err != nil && arpc.CodeOf(err) != arpc.CodePermissionDenied && what != "base" {
				t.Errorf("%s: %s, %s %s: %v, allowed %v", what, role, op, topic, err, may)
			}
		}
		for _, topic := range topics {
			_, err := c.Subscribe(topic, func(*pubsub.Message) {})
			verdict("ours", topic, pubsub.OpSubscribe, err)
			_, err = c.Publish(topic, "x")
			verdict("ours", topic, pubsub.OpPublish, err)
			_, err = c.History(topic, pubsub.HistoryQuery{})
			verdict("ours", topic, pubsub.OpHistory, err)
			_, err = c.Presence(topic)
			verdict("ours", topic, pubsub.OpPresence, err)
			_, err = old.Subscribe(topic, func(*pubsub.Message) {})
			verdict("base", topic, pubsub.OpSubscribe, err)
			_, err = old.Publish(topic, "x")
			verdict("base", topic, pubsub.OpPublish, err)
		}
		r.revokeSome(random, role, topics)
		c.Restart() // its topics are in the hello of the next connection
		arpctest.Eventually(t, "the topics it may have", func() bool {
			for _, topic := range topics {
				if has(s, topic, role) != r.may(role, topic, pubsub.OpSubscribe) {
					return false
				}
			}
			return true
		})
		asked += len(topics)
		old.Stop()
		arpctest.Closed(t, old.Done(), "base client")
		c.Stop()
		arpctest.Closed(t, c.Done(), "client")
	}
	arpctest.Figure(t, "permissions_asked", asked)
}

// revokeSome takes away about half of what a role may subscribe to.
func (r *rules) revokeSome(random *rand.Rand, role string, topics []string) {
	for _, topic := range topics {
		if random.IntN(2) == 0 {
			r.set(role, topic, pubsub.OpSubscribe, false)
		}
	}
}

// has reports whether a role that speaks our protocol is subscribed to a topic.
func has(s *pubsub.Server, topic, role string) bool {
	for _, c := range s.Hub.Subscribers(topic) {
		if c.Identity().ID == role && c.Capable("topics") {
			return true
		}
	}
	return false
}

// TestRevokeWhilePublishing: about a thousand publications a second; from the one
// on that comes after Reauthorize returned, none reaches who is not allowed.
func TestRevokeWhilePublishing(t *testing.T) {
	const subscribers = 10
	rounds := arpctest.Scaled(100)
	r := &rules{allowed: map[string]bool{}}
	s := pubsub.NewServer(pubsub.Authorize(r.authorize))
	s.Handler.HandleAuthenticate(whoTheirTokenSays)
	tcp, web := serve(t, s)
	forbidden, delivered := 0, 0
	for round := range rounds {
		name := fmt.Sprint("t", round)
		var newest [subscribers]atomic.Uint64
		var over sync.WaitGroup
		var clients []*pubsub.Client
		for i := range subscribers {
			role := fmt.Sprint("role ", i)
			r.set(role, name, pubsub.OpSubscribe, true)
			c := dial(t, []string{tcp, web}[i%2], tokenOf(role), quickly)
			clients = append(clients, c)
			over.Add(1)
			if _, err := c.Subscribe(name, func(m *pubsub.Message) { newest[i].Store(m.Offset) },
				pubsub.OnEnd(func(error) { over.Done() })); err != nil {
				t.Fatal(err)
			}
		}
		stop := make(chan struct{})
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for tick := time.NewTicker(time.Millisecond); ; {
				select {
				case <-tick.C:
				case <-stop:
					tick.Stop()
					return
				}
				if _, err := s.Publish(name, "x"); err != nil {
					t.Error(err)
				}
			}
		})
		arpctest.Eventually(t, "publications", func() bool { return newest[subscribers-1].Load() > 10 })
		for i := range subscribers {
			r.set(fmt.Sprint("role ", i), name, pubsub.OpSubscribe, false)
		}
		if round%2 == 0 {
			clients[0].Restart() // who comes back meanwhile is not forgotten
		}
		s.Hub.Reauthorize(t.Context())
		first := mustPublish(t, s, name, 1, 1).Offset
		over.Wait()
		close(stop)
		publishing.Wait()
		for i := range subscribers {
			if newest[i].Load() >= first {
				forbidden++
			}
			delivered += int(newest[i].Load())
		}
		if n := len(s.Hub.Subscribers(name)); n > 0 {
			t.Errorf("round %d: %d subscribers are left", round, n)
		}
		for _, c := range clients {
			c.Stop()
		}
	}
	if forbidden > 0 {
		t.Errorf("%d subscribers got what they may not", forbidden)
	}
	arpctest.Figure(t, "revoke_rounds", rounds)
	arpctest.Figure(t, "revoke_allowed_deliveries", delivered)
	arpctest.Figure(t, "revoke_forbidden_deliveries", forbidden)
}

// TestRevokeWhileSubscribing: a yes that was said before the rules changed does
// not count for a subscription that comes after.
func TestRevokeWhileSubscribing(t *testing.T) {
	asked, answer := make(chan bool), make(chan bool)
	var revoked atomic.Bool
	s, tcp, _ := start(t, pubsub.Authorize(func(context.Context, pubsub.Access) error {
		if revoked.Load() {
			return errors.New("no")
		}
		asked <- true
		<-answer
		return nil
	}))
	c := dial(t, tcp)
	told := make(chan error, 1)
	go func() {
		_, err := c.Subscribe("t", func(*pubsub.Message) {})
		told <- err
	}()
	arpctest.Receive(t, asked, "the question")
	revoked.Store(true)
	s.Hub.Reauthorize(t.Context())
	answer <- true
	if err := arpctest.Receive(t, told, "the answer"); arpc.CodeOf(err) != arpc.CodePermissionDenied {
		t.Errorf("subscribed: %v", err)
	}
	if n := len(s.Hub.Subscribers("t")); n > 0 {
		t.Errorf("%d subscribers", n)
	}
}

// TestANewTokenAsksAgain: what the identity may not do any more ends.
func TestANewTokenAsksAgain(t *testing.T) {
	var revoked atomic.Bool
	s := pubsub.NewServer(pubsub.Authorize(func(_ context.Context, a pubsub.Access) error {
		if a.Topic == "secret" && revoked.Load() {
			return arpc.Errorf(arpc.CodePermissionDenied, "no longer")
		}
		return nil
	}))
	s.Handler.HandleAuthenticate(whoTheirTokenSays)
	tcp, _ := serve(t, s)
	c := dial(t, tcp, tokenOf("ada"))
	ended := make(chan error, 1)
	hear(t, c, "secret", pubsub.OnEnd(func(err error) { ended <- err }))
	heard, _ := hear(t, c, "open")
	revoked.Store(true)
	if err := c.RefreshToken(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if err := arpctest.Receive(t, ended, "the end"); arpc.CodeOf(err) != arpc.CodePermissionDenied || err.(*arpc.Error).Message != "no longer" {
		t.Errorf("ended: %v", err)
	}
	mustPublish(t, s, "open", 1, 1)
	expect(t, heard, "1:1")
}

// TestJoinGivesNothingElse: who was put into one topic may not ask for another
// without the password, nor publish; and nobody is asked about what the server did.
func TestJoinGivesNothingElse(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Password("p"))
	heard := make(chan string, 10)
	c := dial(t, tcp, pubsub.WithJoined(func(string) func(*pubsub.Message) {
		return func(m *pubsub.Message) { heard <- string(m.Data.Data) }
	}))
	arpctest.Eventually(t, "the client", func() bool { return len(s.Clients()) == 1 })
	if err := s.Hub.Join(t.Context(), s.Clients()[0], "room"); err != nil {
		t.Fatal(err)
	}
	mustPublish(t, s, "room", 1, 1)
	expect(t, heard, "1")
	_, subscribe := c.Subscribe("other", func(*pubsub.Message) {})
	_, publish := c.Publish("room", "x")
	_, history := c.History("room", pubsub.HistoryQuery{})
	_, presence := c.Presence("room")
	for what, err := range map[string]error{"subscribe": subscribe, "publish": publish, "history": history, "presence": presence} {
		if arpc.CodeOf(err) != arpc.CodeUnauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestWhatTheServerJoinedStays when the rules are asked again, though they would
// not allow it, and so does who joined twice.
func TestWhatTheServerJoinedStays(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Authorize(func(context.Context, pubsub.Access) error { return errors.New("no") }))
	heard := make(chan string, 10)
	dial(t, tcp, pubsub.WithJoined(func(string) func(*pubsub.Message) {
		return func(m *pubsub.Message) { heard <- string(m.Data.Data) }
	}))
	arpctest.Eventually(t, "the client", func() bool { return len(s.Clients()) == 1 })
	for i := range 3 {
		if err := s.Hub.Join(t.Context(), s.Clients()[0], "room"); err != nil {
			t.Fatal(err)
		}
		s.Hub.Reauthorize(t.Context())
		mustPublish(t, s, "room", i, i)
		expect(t, heard, fmt.Sprint(i))
	}
	if !s.Hub.Kick(s.Clients()[0], "room", nil) {
		t.Error("it was not there")
	}
}

// TestWhoWasNotAskedInTimeIsNotDenied: that nobody decided is no decision.
func TestWhoWasNotAskedInTimeIsNotDenied(t *testing.T) {
	var late atomic.Bool
	s, tcp, _ := start(t, pubsub.Authorize(func(ctx context.Context, _ pubsub.Access) error {
		if late.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}))
	c := dial(t, tcp)
	ended := make(chan error, 1)
	hear(t, c, "t", pubsub.OnEnd(func(err error) { ended <- err }))
	late.Store(true)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	s.Hub.Reauthorize(over)
	if err := arpctest.Receive(t, ended, "the end"); arpc.CodeOf(err) != arpc.CodeUnavailable {
		t.Errorf("ended with %v", err)
	}
}

// TestAskingAgainForWhatIsForbiddenNow ends what there is: the client was told that it
// has it no more.
func TestAskingAgainForWhatIsForbiddenNow(t *testing.T) {
	for name, tt := range map[string]struct {
		why  error
		left int
	}{
		"forbidden":   {errors.New("no"), 0},
		"not decided": {arpc.Errorf(arpc.CodeUnavailable, "ask me later"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			var refusing atomic.Bool
			s, tcp, _ := start(t, pubsub.Authorize(func(context.Context, pubsub.Access) error {
				if refusing.Load() {
					return tt.why
				}
				return nil
			}))
			c := dial(t, tcp)
			hear(t, c, "t")
			refusing.Store(true)
			var answer json.RawMessage
			if err := c.CallProtocol(t.Context(), "arpc.subscribe", map[string]any{"topic": "t"}, &answer, nil); err == nil {
				t.Error("subscribed")
			}
			if n := len(s.Hub.Subscribers("t")); n != tt.left {
				t.Errorf("%d subscribe, want %d", n, tt.left)
			}
		})
	}
}
