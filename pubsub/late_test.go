package pubsub_test

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/feed"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// slow is a server that answers who subscribes when the test says so. A member of
// the topic is whoever asked for presence. What a hello asks for it cannot grant yet.
type slow struct {
	*pubsub.Server
	asked chan *arpc.Context
}

func newSlow(t *testing.T) (s *slow, tcp string) {
	t.Helper()
	s = &slow{Server: pubsub.NewServer(pubsub.Open()), asked: make(chan *arpc.Context, 10)}
	s.Handler.Extend(arpc.Extension{
		Capability: "topics",
		Routes: []arpc.ExtensionRoute{{Method: "arpc.subscribe", Mode: arpc.Concurrent, Handler: func(ctx *arpc.Context) {
			s.asked <- ctx
		}}},
		Welcome: func(_ *arpc.Client, said json.RawMessage) (any, func()) {
			var list []feed.Request
			if err := json.Unmarshal(said, &list); err != nil {
				t.Error(err)
			}
			answers := make([]feed.Refusal, len(list))
			for i := range answers {
				answers[i] = feed.Refuse(arpc.Errorf(arpc.CodeUnavailable, "not yet"))
			}
			return answers, nil
		},
	})
	tcp, _ = serve(t, s.Server)
	return s, tcp
}

// answer answers one who subscribes: it is at an offset of an epoch.
func (s *slow) answer(t *testing.T, ctx *arpc.Context, epoch string, offset uint64) {
	t.Helper()
	var r feed.Request
	if err := json.Unmarshal(ctx.Body(), &r); err != nil {
		t.Fatal(err)
	}
	a := feed.Answer{Topic: r.Topic, Epoch: epoch, Offset: offset, Last: offset, Recovered: true}
	if r.Presence {
		a.Members, a.Version = json.RawMessage(`[{"id":"me","since":1}]`), 1
	}
	body, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := ctx.Write(arpc.Raw{Kind: wire.Value, Data: body}); err != nil {
		t.Error(err)
	}
}

// TestALateAnswerIsForNobody: what was asked before the client lost patience is not
// what it asks for now.
func TestALateAnswerIsForNobody(t *testing.T) {
	s, tcp := newSlow(t)
	marked := make(chan bool, 1)
	h := arpc.NewHandler()
	h.Handle("/mark", func(*arpc.Context) { marked <- true })
	c := dial(t, tcp, pubsub.WithHandler(h), pubsub.WithTimeout(time.Second))
	nothing := func(*pubsub.Message) {}
	if _, err := c.Subscribe("t", nothing); arpc.CodeOf(err) != arpc.CodeDeadlineExceeded {
		t.Fatalf("subscribed: %v", err)
	}
	old := arpctest.Receive(t, s.asked, "the first request")
	type result struct {
		*pubsub.Subscription
		error
	}
	subscribed := make(chan result, 1)
	go func() {
		sub, err := c.Subscribe("t", nothing, pubsub.WithPresence(nil))
		subscribed <- result{sub, err}
	}()
	now := arpctest.Receive(t, s.asked, "the second request")
	s.answer(t, old, "before", 70)
	if err := s.Clients()[0].Notify("/mark", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	arpctest.Receive(t, marked, "what is behind the late answer") // which is handled by now
	s.answer(t, now, "now", 7)
	got := arpctest.Receive(t, subscribed, "the subscription")
	if got.error != nil {
		t.Fatal(got.error)
	}
	if at, want := got.Position(), (pubsub.Position{Epoch: "now", Offset: 7}); at != want || len(got.Members()) != 1 {
		t.Errorf("at %+v with %v, want %+v and one member", at, got.Members(), want)
	}
}

// TestANotifyIsNoAnswer, whatever it says.
func TestANotifyIsNoAnswer(t *testing.T) {
	s, tcp := newSlow(t)
	marked := make(chan bool, 1)
	h := arpc.NewHandler()
	h.Handle("/mark", func(*arpc.Context) { marked <- true })
	c := dial(t, tcp, pubsub.WithHandler(h))
	subscribed := make(chan error, 1)
	var sub *pubsub.Subscription
	go func() {
		var err error
		sub, err = c.Subscribe("t", func(*pubsub.Message) {})
		subscribed <- err
	}()
	s.answer(t, arpctest.Receive(t, s.asked, "the request"), "now", 7)
	if err := arpctest.Receive(t, subscribed, "the subscription"); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(feed.Answer{Topic: "t", Epoch: "another", Offset: 70, Last: 70, Recovered: true})
	if err != nil {
		t.Fatal(err)
	}
	frame := wire.Append(nil, wire.Header{Cmd: wire.Notify, Flags: wire.Outside.WithKind(wire.Value)}, "arpc.subscribe", body)
	if err := s.Clients()[0].PushMsg(arpc.EncodedMessage(frame), arpc.TimeZero); err != nil {
		t.Fatal(err)
	}
	if err := s.Clients()[0].Notify("/mark", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	arpctest.Receive(t, marked, "what is behind it")
	if at, want := sub.Position(), (pubsub.Position{Epoch: "now", Offset: 7}); at != want {
		t.Errorf("at %+v, want %+v", at, want)
	}
}

// push sends the client a publication at an offset.
func (s *slow) push(t *testing.T, name string, offset uint64) {
	t.Helper()
	body := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16([]byte(name), uint16(len(name))), 0)
	frame := wire.Append(nil, wire.Header{Cmd: wire.Notify, Flags: wire.Outside, Seq: offset}, "in_P", body)
	if err := s.Clients()[0].PushMsg(arpc.EncodedMessage(frame), arpc.TimeZero); err != nil {
		t.Fatal(err)
	}
}

// TestAnAnswerOfTheLastConnection, which the client was too busy to look at, is not
// what it asked for on this one.
func TestAnAnswerOfTheLastConnection(t *testing.T) {
	s, tcp := newSlow(t)
	busy, release := make(chan bool), make(chan bool)
	h := arpc.NewHandler()
	h.Handle("/busy", func(*arpc.Context) { busy <- true; <-release })
	h.Handle("/read", func(ctx *arpc.Context) { _ = ctx.Write(nil) }, arpc.Inline)
	connections := make(chan net.Conn, 10)
	c, err := pubsub.NewClient(func() (net.Conn, error) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(tcp, "tcp://"))
		connections <- conn
		return conn, err
	}, quickly, pubsub.WithHandler(h), pubsub.WithErrorHandler(func(string, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	heard := make(chan uint64, 10)
	var sub *pubsub.Subscription
	subscribed := make(chan error, 1)
	go func() {
		var err error
		sub, err = c.Subscribe("t", func(m *pubsub.Message) { heard <- m.Offset })
		subscribed <- err
	}()
	s.answer(t, arpctest.Receive(t, s.asked, "the first request"), "before", 70)
	if err := arpctest.Receive(t, subscribed, "the subscription"); err != nil {
		t.Fatal(err)
	}
	s.push(t, "t", 75) // after a hole
	old := arpctest.Receive(t, s.asked, "the request for the hole")
	if err := s.Clients()[0].Notify("/busy", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	arpctest.Receive(t, busy, "a busy client")
	s.answer(t, old, "before", 80)
	if err := s.Clients()[0].Call("/read", nil, nil, arpctest.Wait); err != nil { // so it has the answer
		t.Fatal(err)
	}
	arpctest.Receive(t, connections, "the connection").Close()
	now := arpctest.Receive(t, s.asked, "the request on the next one")
	release <- true
	if err := s.Clients()[0].Notify("/busy", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	arpctest.Receive(t, busy, "what is behind the old answer")
	close(release)
	s.answer(t, now, "now", 7)
	s.push(t, "t", 8)
	if got := arpctest.Receive(t, heard, "a publication"); got != 8 {
		t.Errorf("heard %d", got)
	}
	if at, want := sub.Position(), "now"; at.Epoch != want {
		t.Errorf("at %+v", at)
	}
}

// TestBaseTopicsOfALostSession: a server that has sessions and no positions is asked
// again for what a lost one had, and for what the last connection of one had.
func TestBaseTopicsOfALostSession(t *testing.T) {
	for name, grace := range map[string]time.Duration{"lost": time.Millisecond, "goes on": time.Minute} {
		t.Run(name, func(t *testing.T) {
			asked, ended := make(chan string, 10), make(chan bool, 10)
			h := arpc.NewHandler()
			h.SetLimits(arpc.Limits{Grace: grace})
			h.Handle("in_S", func(ctx *arpc.Context) { asked <- string(ctx.Body()[:1]); _ = ctx.Write(nil) }, arpc.Ordered)
			h.HandlePaused(func(*arpc.Client, error) {
				if grace == time.Minute {
					ended <- true
				}
			})
			h.HandleDisconnected(func(*arpc.Client, error) { ended <- true })
			resumed := make(chan bool, 10)
			h.HandleResumed(func(*arpc.Client) { resumed <- true })
			open := arpctest.Transports[1].Open(t, func(nc net.Conn, a arpc.Accepted) { h.ServeConn(nc, a) })
			var dialed atomic.Int64
			connections := make(chan net.Conn, 10)
			c, err := pubsub.NewClient(func() (net.Conn, error) {
				if dialed.Add(1) > 1 {
					<-ended
				}
				nc, err := open()
				connections <- nc
				return nc, err
			}, quickly)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
			if _, err := c.Subscribe("t", func(*pubsub.Message) {}); err != nil {
				t.Fatal(err)
			}
			arpctest.Receive(t, asked, "the subscription")
			arpctest.Receive(t, connections, "the connection").Close()
			if grace == time.Minute {
				arpctest.Receive(t, resumed, "the session")
			}
			if topic := arpctest.Receive(t, asked, "the subscription, once more"); topic != "t" {
				t.Errorf("subscribed to %q", topic)
			}
		})
	}
}

// TestWhoGaveUpIsNotSubscribed, nor a member that nobody knows of.
func TestWhoGaveUpIsNotSubscribed(t *testing.T) {
	g := newGate()
	s, tcp, _ := start(t, pubsub.Authorize(g.authorize))
	c := dial(t, tcp, pubsub.WithTimeout(time.Second))
	g.hold(only("t"))
	if _, err := c.Subscribe("t", func(*pubsub.Message) {}, pubsub.WithPresence(nil)); arpc.CodeOf(err) != arpc.CodeDeadlineExceeded {
		t.Fatalf("subscribed: %v", err)
	}
	if err := c.Call("/none", nil, nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeNotFound { // it is read behind the cancel
		t.Fatal(err)
	}
	close(g.open)
	hear(t, c, "behind it")
	members, err := s.Hub.Members(t.Context(), "t")
	if n := len(s.Hub.Subscribers("t")); n != 0 || len(members) != 0 || err != nil {
		t.Errorf("%d subscribers, %d members, %v", n, len(members), err)
	}
}
