package pubsub_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/topic"
	"github.com/seed-fbfaa03e/arpc/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves a hub on both doors and returns their addresses.
func start(t *testing.T, opts ...pubsub.Option) (s *pubsub.Server, tcp, web string) {
	t.Helper()
	s = pubsub.NewServer(opts...)
	tcp, web = serve(t, s)
	return s, tcp, web
}

// serve serves a server on both doors.
func serve(t *testing.T, s *pubsub.Server) (tcp, web string) {
	t.Helper()
	s.Handler.SetLogger(slog.New(slog.DiscardHandler))
	return arpctest.Doors(t, s)
}

// publish is Publish where the position does not matter.
func publish(c *pubsub.Client, topic string, v any) error {
	_, err := c.Publish(topic, v)
	return err
}

func dial(t *testing.T, address string, opts ...pubsub.ClientOption) *pubsub.Client {
	t.Helper()
	c, err := pubsub.Dial(t.Context(), address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c
}

func TestBothDoorsMeetInOneTopic(t *testing.T) {
	s, tcp, web := start(t, pubsub.Open())
	got := make(chan string, 10_000)
	for name, address := range map[string]string{"tcp": tcp, "web": web} {
		if _, err := dial(t, address).Subscribe("news", func(m *pubsub.Message) {
			var text string
			if err := m.Bind(&text); err != nil || m.Topic != "news" || m.Time.IsZero() {
				t.Errorf("%+v, %v", m, err)
			}
			got <- name + " " + text
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, publish := range []func(string) error{
		func(v string) error { return publish(dial(t, tcp), "news", v) },
		func(v string) error { return publish(dial(t, web), "news", v) },
		func(v string) error {
			p, err := s.Publish("news", v)
			if p.Offset != 3 || p.Epoch == "" {
				t.Errorf("position %+v", p)
			}
			return err
		},
	} {
		text := fmt.Sprint("message ", i)
		if err := publish(text); err != nil {
			t.Fatal(err)
		}
		both := map[string]bool{arpctest.Receive(t, got, text): true, arpctest.Receive(t, got, text): true}
		if !both["tcp "+text] || !both["web "+text] {
			t.Errorf("got %v", both)
		}
	}
}

func TestOffsetsAreContiguousAndInOrder(t *testing.T) {
	_, tcp, web := start(t, pubsub.Open())
	const publishers, each = 4, 250
	type seen struct {
		offset uint64
		text   string
	}
	logs := make([][]seen, 6)
	var done sync.WaitGroup
	for i := range logs {
		address := []string{tcp, web}[i%2]
		done.Add(publishers * each)
		if _, err := dial(t, address).Subscribe("t", func(m *pubsub.Message) {
			logs[i] = append(logs[i], seen{m.Offset, string(m.Data.Data)})
			done.Done()
		}); err != nil {
			t.Fatal(err)
		}
	}
	var publishing sync.WaitGroup
	for p := range publishers {
		c := dial(t, []string{tcp, web}[p%2])
		publishing.Go(func() {
			for n := range each {
				if _, err := c.Publish("t", fmt.Sprintf("%d %d", p, n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	publishing.Wait()
	all := make(chan struct{})
	go func() { done.Wait(); close(all) }()
	arpctest.Closed(t, all, "deliveries")
	next := make([]int, publishers)
	for i, one := range logs[0] {
		if one.offset != uint64(i+1) {
			t.Fatalf("offset %d at place %d", one.offset, i+1)
		}
		var p, n int
		if _, err := fmt.Sscan(one.text, &p, &n); err != nil || n != next[p] {
			t.Fatalf("%q, want message %d of its publisher", one.text, next[p])
		}
		next[p]++
	}
	for i := range logs {
		if fmt.Sprint(logs[i]) != fmt.Sprint(logs[0]) {
			t.Errorf("subscriber %d saw something else", i)
		}
	}
}

func TestNothingComesAfterUnsubscribe(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp)
	var mu sync.Mutex
	ended := false
	for range 50 {
		sub, err := c.Subscribe("t", func(*pubsub.Message) {
			mu.Lock()
			defer mu.Unlock()
			if ended {
				t.Error("delivered after unsubscribe")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		var publishing sync.WaitGroup
		publishing.Go(func() {
			for range 20 {
				if _, err := s.Publish("t", "x"); err != nil {
					t.Error(err)
				}
			}
		})
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		ended = true
		mu.Unlock()
		publishing.Wait()
		mu.Lock()
		ended = false
		mu.Unlock()
	}
}

func TestPublishToOneTakesTurns(t *testing.T) {
	s, tcp, web := start(t, pubsub.Open())
	got := make(chan int, 100)
	for i := range 3 {
		if _, err := dial(t, []string{tcp, web}[i%2]).Subscribe("jobs", func(*pubsub.Message) { got <- i }); err != nil {
			t.Fatal(err)
		}
	}
	publisher := dial(t, tcp)
	counts := map[int]int{}
	for i := range 9 {
		var err error
		if i%2 == 0 {
			err = publisher.PublishToOne("jobs", i)
		} else {
			err = s.PublishToOne("jobs", i)
		}
		if err != nil {
			t.Fatal(err)
		}
		counts[arpctest.Receive(t, got, "job")]++
	}
	if counts[0] != 3 || counts[1] != 3 || counts[2] != 3 {
		t.Errorf("turns %v", counts)
	}
	if err := publisher.PublishToOne("nobody", 1); err == nil || !strings.Contains(err.Error(), "nobody is subscribed") {
		t.Errorf("without a subscriber: %v", err)
	}
}

func TestAccess(t *testing.T) {
	_, closed, _ := start(t)
	if _, err := dial(t, closed).Subscribe("t", nil); err == nil || !strings.Contains(err.Error(), "not open") {
		t.Errorf("without an option: %v", err)
	}
	_, tcp, web := start(t, pubsub.Password("123qwe"))
	for _, address := range []string{tcp, web} {
		anonymous := dial(t, address)
		if _, err := anonymous.Publish("t", 1); err == nil || !strings.Contains(err.Error(), "not authenticated") {
			t.Errorf("without a password: %v", err)
		}
		for _, wrong := range []string{"123qw", "123qwe ", "x"} {
			if _, err := pubsub.Dial(t.Context(), address, pubsub.WithPassword(wrong)); err == nil || !strings.Contains(err.Error(), "wrong password") {
				t.Errorf("password %q: %v", wrong, err)
			}
		}
		if err := anonymous.Call("in_A", "", nil, arpctest.Wait); err == nil {
			t.Error("an empty password was accepted")
		}
		if _, err := dial(t, address, pubsub.WithPassword("123qwe")).Publish("t", 1); err != nil {
			t.Errorf("with the password: %v", err)
		}
	}
	_, unset, _ := start(t, pubsub.Password(""))
	if err := dial(t, unset).Call("in_A", "", nil, arpctest.Wait); err == nil {
		t.Error("an empty password opened the hub")
	}
}

func TestAuthenticatingAgainKeepsSubscriptions(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Password("p"))
	c := dial(t, tcp, pubsub.WithPassword("p"))
	got := make(chan struct{}, 1)
	if _, err := c.Subscribe("t", func(*pubsub.Message) { got <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := c.Call("in_A", "p", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish("t", 1); err != nil {
		t.Fatal(err)
	}
	arpctest.Receive(t, got, "publication")
}

func TestBadRequestsAreAnswered(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	c := dial(t, tcp)
	body := func(name string, nameLen int) []byte {
		b := append([]byte("data"), name...)
		b = binary.LittleEndian.AppendUint16(b, uint16(nameLen))
		return binary.LittleEndian.AppendUint64(b, 0)
	}
	for name, b := range map[string][]byte{
		"empty":           {},
		"nine bytes":      make([]byte, 9),
		"no name":         make([]byte, 10),
		"name past start": body("t", 6),
		"65535":           body("t", 65535),
		"256 bytes":       body(strings.Repeat("n", 256), 256),
		"not UTF-8":       body("\xff\xfe", 2),
	} {
		for _, route := range []string{"in_S", "in_U", "in_P", "in_P1"} {
			err := c.Call(route, b, nil, arpctest.Wait)
			var coded *arpc.Error
			if !errors.As(err, &coded) || !coded.Remote() {
				t.Errorf("%s %s: %v", route, name, err)
			}
		}
	}
	if n := s.Hub.Topics(); n != 0 {
		t.Errorf("%d topics exist", n)
	}
}

func TestTopicsComeAndGo(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open(), pubsub.Linger(time.Millisecond), pubsub.MaxTopics(3), pubsub.MaxSubscriptions(2))
	c := dial(t, tcp)
	for i := range 200 {
		if _, err := c.Publish(fmt.Sprint("t", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Hub.Topics(); n != 0 {
		t.Errorf("publishing made %d topics", n)
	}
	for i := range 3 {
		_, err := c.Subscribe(fmt.Sprint("t", i), func(*pubsub.Message) {})
		if (err == nil) != (i < 2) {
			t.Errorf("subscription %d: %v", i, err)
		}
	}
	other := dial(t, tcp)
	for i := range 2 {
		_, err := other.Subscribe(fmt.Sprint("o", i), func(*pubsub.Message) {})
		if (err == nil) != (i < 1) {
			t.Errorf("topic %d: %v", 2+i, err)
		}
	}
	if _, err := c.Subscribe("t0", func(*pubsub.Message) {}); arpc.CodeOf(err) != arpc.CodeAlreadyExists {
		t.Errorf("twice: %v", err)
	}
	c.Stop()
	other.Stop()
	arpctest.Eventually(t, "topics gone", func() bool { return s.Hub.Topics() == 0 })
}

func TestSubscriptionsComeBackAfterAReconnect(t *testing.T) {
	for _, door := range []int{0, 1} {
		s, tcp, web := start(t, pubsub.Password("p"))
		fast := arpc.Backoff{First: time.Millisecond, Max: time.Millisecond, Stable: time.Hour}
		c := dial(t, []string{tcp, web}[door], pubsub.WithPassword("p"), pubsub.WithClientOptions(arpc.WithBackoff(fast)))
		got := make(chan string, 10_000)
		if _, err := c.Subscribe("t", func(m *pubsub.Message) { got <- string(m.Data.Data) }); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			for _, one := range s.Clients() {
				one.Stop()
			}
			want := fmt.Sprint("after cut ", i)
			arpctest.Eventually(t, want, func() bool {
				if _, err := s.Publish("t", want); err != nil {
					t.Fatal(err)
				}
				select {
				case text := <-got:
					return text == want
				case <-time.After(time.Millisecond):
					return false
				}
			})
			if _, err := c.Publish("other", "authenticated again"); err != nil {
				t.Fatal(err)
			}
			for len(got) > 0 {
				<-got
			}
		}
	}
}

func TestASlowSubscriberLagsAndHoldsUpNobody(t *testing.T) {
	const n, size = 3000, 1000
	s, tcp, _ := start(t, pubsub.Open(), pubsub.History(topic.Limits{Entries: 2 * n}))
	slow, err := net.Dial("tcp", strings.TrimPrefix(tcp, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	request := binary.LittleEndian.AppendUint16([]byte("t"), 1)
	request = binary.LittleEndian.AppendUint64(request, 0)
	if _, err := slow.Write(wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 1}, "in_S", request)); err != nil {
		t.Fatal(err)
	}
	arpctest.Eventually(t, "slow subscriber", func() bool { return len(s.Hub.Subscribers("t")) == 1 })
	fast := make(chan uint64, n)
	if _, err := dial(t, tcp).Subscribe("t", func(m *pubsub.Message) { fast <- m.Offset }); err != nil {
		t.Fatal(err)
	}
	payload := bytes.Repeat([]byte("x"), size)
	for range n {
		if _, err := s.Publish("t", payload); err != nil {
			t.Fatal(err)
		}
	}
	for want := uint64(1); want <= n; want++ {
		if got := arpctest.Receive(t, fast, "fast"); got != want {
			t.Fatalf("fast subscriber got %d, want %d", got, want)
		}
	}
	// Only now the slow one reads: all of it is there, in order.
	d := wire.NewDecoder(wire.MaxBody)
	_ = slow.SetReadDeadline(time.Now().Add(arpctest.Wait))
	for next := uint64(1); next <= n; {
		read, err := slow.Read(d.Buffer())
		if err != nil {
			t.Fatalf("at %d: %v", next, err)
		}
		d.Advance(read)
		for f, ok, err := d.Next(); ok || err != nil; f, ok, err = d.Next() {
			if err != nil {
				t.Fatal(err)
			}
			if f.Cmd != wire.Notify {
				continue
			}
			if f.Seq != next {
				t.Fatalf("slow subscriber got %d, want %d", f.Seq, next)
			}
			next++
		}
	}
}

// TestRecordedSession replays what the original's pub/sub client sent, byte for
// byte, and compares what comes back with what the original's server answered.
func TestRecordedSession(t *testing.T) {
	_, tcp, _ := start(t, pubsub.Password("123qwe"))
	text, err := os.ReadFile("../wire/testdata/vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(tcp, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(arpctest.Wait))
	steps := map[string]bool{"pubsub authenticate ok": true, "subscribe news": true, "publish news hello": true, "unsubscribe news": true}
	asked := 0
	for line := range strings.Lines(string(text)) {
		var label, direction, hex string
		fields := strings.Split(strings.TrimSpace(line), "\t")
		label, direction, hex = fields[0], fields[1], fields[2]
		if !steps[label] {
			continue
		}
		var raw []byte
		if _, err := fmt.Sscanf(hex, "%x", &raw); err != nil {
			t.Fatal(err)
		}
		if direction == "c->s" {
			asked++
			if _, err := conn.Write(raw); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got := make([]byte, len(raw))
		if _, err := io.ReadFull(conn, got); err != nil {
			t.Fatalf("%s: %v", label, err)
		}
		if base(t, got) != base(t, raw) {
			t.Errorf("%s: got %x, recorded %x", label, got, raw)
		}
	}
	if asked != len(steps) {
		t.Errorf("replayed %d of %d steps", asked, len(steps))
	}
}

// base is what an original reads of frames: it ignores the high flag bits and
// the seq of a notify, and the order of an answer and a push is free.
func base(t *testing.T, raw []byte) string {
	t.Helper()
	found := map[string]bool{}
	d := wire.NewDecoder(wire.MaxBody)
	for len(raw) > 0 {
		n := copy(d.Buffer(), raw)
		d.Advance(n)
		raw = raw[n:]
		for f, ok, err := d.Next(); ok || err != nil; f, ok, err = d.Next() {
			if err != nil {
				t.Fatal(err)
			}
			f.Flags &= wire.Error | wire.Async
			if f.Cmd == wire.Notify {
				f.Seq = 0
			}
			found[fmt.Sprintf("%d %d %d %s %x", f.Cmd, f.Flags, f.Seq, f.Method, f.Body)] = true
		}
	}
	return fmt.Sprint(found)
}
