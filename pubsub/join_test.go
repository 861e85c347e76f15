package pubsub_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// reticent is a connection that says nothing before it may.
type reticent struct {
	net.Conn
	may <-chan struct{}
}

func (r reticent) Write(p []byte) (int, error) {
	<-r.may
	return r.Conn.Write(p)
}

// dialReticent connects a client whose hello is not sent before may is closed. What
// it hears of topics that it is put into comes as "room", and then "offset:text".
func dialReticent(t *testing.T, address string, may <-chan struct{}) (*pubsub.Client, <-chan string) {
	t.Helper()
	heard := make(chan string, 100)
	c, err := pubsub.NewClient(func() (net.Conn, error) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
		return reticent{conn, may}, err
	}, pubsub.WithJoined(func(name string) func(*pubsub.Message) {
		heard <- name
		return func(m *pubsub.Message) { heard <- fmt.Sprintf("%d:%s", m.Offset, m.Data.Data) }
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c, heard
}

// joinsEarly is a server that does something to a client before it says hello, and
// what the client hears, which said it by now.
func joinsEarly(t *testing.T, early func(s *pubsub.Server, c *arpc.Client), opts ...pubsub.Option) (s *pubsub.Server, heard <-chan string) {
	t.Helper()
	s = pubsub.NewServer(append(opts, pubsub.Open())...)
	may := make(chan struct{})
	s.Handler.SetLimits(arpc.Limits{Grace: -1}) // so that who says nothing is known at once
	s.Handler.HandleConnected(func(c *arpc.Client) {
		defer close(may)
		if c.Capable("topics") {
			t.Error("hello was answered before it was said")
		}
		early(s, c)
	})
	tcp, _ := serve(t, s)
	c, heard := dialReticent(t, tcp, may)
	if err := c.Call("/none", nil, nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeNotFound { // it is read behind all that hello brings
		t.Error(err)
	}
	return s, heard
}

func mustJoin(t *testing.T, s *pubsub.Server, c *arpc.Client, name string, opts ...pubsub.SubscribeOption) {
	t.Helper()
	if err := s.Hub.Join(context.Background(), c, name, opts...); err != nil {
		t.Error(err)
	}
}

// Who is put into a topic before hello is told once that is answered, and gets what
// was published since.
func TestJoinBeforeHello(t *testing.T) {
	s, heard := joinsEarly(t, func(s *pubsub.Server, c *arpc.Client) {
		mustJoin(t, s, c, "room")
		mustPublish(t, s, "room", 1, 2)
	})
	mustPublish(t, s, "room", 3, 3)
	expect(t, heard, "room", "1:1", "2:2", "3:3")
	if n := len(s.Hub.Subscribers("room")); n != 1 {
		t.Errorf("%d subscribers", n)
	}
}

func TestJoinBeforeHelloAsAMember(t *testing.T) {
	s, heard := joinsEarly(t, func(s *pubsub.Server, c *arpc.Client) {
		mustJoin(t, s, c, "room", pubsub.WithPresence("ada"))
	})
	expect(t, heard, "room")
	members, err := s.Hub.Members(t.Context(), "room")
	if err != nil || len(members) != 1 || string(members[0].Info) != `"ada"` {
		t.Errorf("members %+v, %v", members, err)
	}
}

// Who was kicked before hello, or while the hub looks for its place, is not put back.
func TestKickBeforeHello(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		s, heard := joinsEarly(t, func(s *pubsub.Server, c *arpc.Client) {
			mustJoin(t, s, c, "out")
			mustJoin(t, s, c, "in")
			s.Hub.Kick(c, "out", nil)
		})
		mustPublish(t, s, "out", 1, 1)
		mustPublish(t, s, "in", 1, 1)
		expect(t, heard, "in", "1:1")
	})
	t.Run("meanwhile", func(t *testing.T) {
		asked := &askedBroker{Broker: broker.NewMemory(0)}
		s, heard := joinsEarly(t, func(s *pubsub.Server, c *arpc.Client) {
			mustJoin(t, s, c, "out")
			mustPublish(t, s, "out", 1, 3) // more than is held: the broker is asked where its place is
			kick := func() { s.Hub.Kick(c, "out", nil) }
			asked.state.Store(&kick)
			mustJoin(t, s, c, "in")
		}, pubsub.WithBroker(asked), pubsub.History(topic.Limits{Entries: 1}))
		mustPublish(t, s, "in", 1, 1)
		expect(t, heard, "in", "1:1")
		if n := len(s.Hub.Subscribers("out")); n != 0 || asked.state.Load() != nil {
			t.Errorf("%d subscribers", n)
		}
	})
}

// askedBroker runs a hook, once, when it is asked for something.
type askedBroker struct {
	broker.Broker
	state, subscribe atomic.Pointer[func()]
}

func (b *askedBroker) State(ctx context.Context, topic string) (broker.State, error) {
	runOnce(&b.state)
	return b.Broker.State(ctx, topic)
}

func (b *askedBroker) Subscribe(ctx context.Context, topic string, s broker.Settings, r broker.Receiver) (broker.State, func(), error) {
	runOnce(&b.subscribe)
	return b.Broker.Subscribe(ctx, topic, s, r)
}

func runOnce(hook *atomic.Pointer[func()]) {
	if f := hook.Swap(nil); f != nil {
		(*f)()
	}
}

// Hello is answered while the hub puts the client into the topic: nobody else will
// tell it any more.
func TestJoinDuringHello(t *testing.T) {
	asked := &askedBroker{Broker: broker.NewMemory(0)}
	s := pubsub.NewServer(pubsub.Open(), pubsub.WithBroker(asked))
	may, answered := make(chan struct{}), make(chan struct{})
	during := func() {
		close(may)
		<-answered
	}
	asked.subscribe.Store(&during)
	s.Handler.SetLimits(arpc.Limits{Grace: -1}) // so that who says nothing is known at once
	s.Handler.HandleConnected(func(c *arpc.Client) { mustJoin(t, s, c, "room") })
	tcp, _ := serve(t, s)
	c, heard := dialReticent(t, tcp, may)
	if err := c.Call("/none", nil, nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeNotFound { // it is read behind hello
		t.Error(err)
	}
	close(answered)
	expect(t, heard, "room")
}

// A client that says no hello is one of the base protocol, which gets the
// publications and no word besides.
func TestJoinOfABaseClient(t *testing.T) {
	s := pubsub.NewServer(pubsub.Open())
	joined := make(chan struct{})
	s.Handler.HandleConnected(func(c *arpc.Client) {
		defer close(joined)
		mustJoin(t, s, c, "room")
	})
	tcp, _ := serve(t, s)
	h := arpc.NewHandler()
	heard := make(chan string, 10)
	h.Handle("in_P", func(ctx *arpc.Context) { heard <- string(ctx.Body()[:len("4room")]) })
	c, err := arpc.Dial(t.Context(), tcp, arpc.WithHandler(h), arpc.WithHello(arpc.HelloNever))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	arpctest.Closed(t, joined, "Join")
	mustPublish(t, s, "room", 1, 1)
	arpctest.Receive(t, heard, "publication")
}

// Hooks that join beside hello come before it, behind it, and in between.
func TestJoinBesideHello(t *testing.T) {
	s := pubsub.NewServer(pubsub.Open())
	s.Handler.HandleConnected(func(c *arpc.Client) {
		mustJoin(t, s, c, "room")
	})
	tcp, web := serve(t, s)
	for i := range 40 {
		heard := make(chan string, 100)
		dial(t, []string{tcp, web}[i%2], pubsub.WithJoined(func(name string) func(*pubsub.Message) {
			heard <- name
			return func(m *pubsub.Message) { heard <- string(m.Data.Data) }
		}))
		expect(t, heard, "room")
		mustPublish(t, s, "room", i, i)
		expect(t, heard, fmt.Sprint(i))
	}
}

// secretive is a connection that does not tell the password before it may.
type secretive struct {
	net.Conn
	may <-chan struct{}
}

func (s secretive) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("in_A")) {
		<-s.may
	}
	return s.Conn.Write(p)
}

// Who is put into a topic while it is still connecting hears what comes of it.
func TestJoinWhileConnecting(t *testing.T) {
	s := pubsub.NewServer(pubsub.Password("p"), pubsub.Topics(keepAll))
	s.Handler.HandleConnected(func(c *arpc.Client) { mustJoin(t, s, c, "room", pubsub.Last(2)) })
	mustPublish(t, s, "room", 1, 2)
	tcp, _ := serve(t, s)
	may, heard := make(chan struct{}), make(chan string, 10)
	connected := make(chan *pubsub.Client, 1)
	go func() {
		c, err := pubsub.NewClient(func() (net.Conn, error) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(tcp, "tcp://"))
			return secretive{conn, may}, err
		}, pubsub.WithPassword("p"), pubsub.WithJoined(func(string) func(*pubsub.Message) {
			return func(m *pubsub.Message) { heard <- string(m.Data.Data) }
		}))
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	t.Cleanup(func() {
		close(may)
		if c := arpctest.Receive(t, connected, "a client"); c != nil {
			c.Stop()
			arpctest.Closed(t, c.Done(), "client")
		}
	})
	expect(t, heard, "1", "2")
}
