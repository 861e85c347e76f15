package pubsub_test

import (
	"encoding/hex"
	"flag"
	"log/slog"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
)

var record = flag.Bool("record", false, "write "+recordedPath+" anew from what the peers send")

// recordedPath has the frames of topics with positions. docs/protocol.md shows
// them, and peers in other languages are tested with them.
const recordedPath = "../wire/testdata/topics.tsv"

// scribe writes down the frames that pass the connections of a client.
type scribe struct {
	t    *testing.T
	mu   sync.Mutex
	what string
	all  []string
}

// scribed is a connection with a scribe beside it.
type scribed struct {
	net.Conn
	*scribe
	sent, got *wire.Decoder
}

func (s *scribe) begin(what string) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.what = what
}

func (s *scribed) Write(b []byte) (int, error) {
	s.take(s.sent, "c->s", b)
	return s.Conn.Write(b)
}

func (s *scribed) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.take(s.got, "s->c", b[:n])
	return n, err
}

func (s *scribe) take(d *wire.Decoder, direction string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(b) > 0 {
		n := copy(d.Buffer(), b)
		d.Advance(n)
		b = b[n:]
		for f, ok, err := d.Next(); ok || err != nil; f, ok, err = d.Next() {
			if err != nil {
				s.t.Error(err)
				return
			}
			if s.what != "" {
				s.all = append(s.all, s.what+"\t"+direction+"\t"+hex.EncodeToString(known(f.Raw)))
			}
		}
	}
}

var (
	anyEpoch  = regexp.MustCompile(`"epoch":"[A-Z2-7]{16}"`)
	anySecret = regexp.MustCompile(`"member":"[A-Z2-7]{26}"`)
	anyID     = regexp.MustCompile(`"id":"[A-Za-z0-9_-]{16}"`)
)

// known is a frame with names in the place of those that are random. They are as
// long.
func known(frame []byte) []byte {
	frame = anyEpoch.ReplaceAll(frame, []byte(`"epoch":"ONEEPOCHOFATOPIC"`))
	frame = anySecret.ReplaceAll(frame, []byte(`"member":"ASECRETOFTHISONECLIENTONLY"`))
	return anyID.ReplaceAll(frame, []byte(`"id":"IdOfThisOneUser1"`))
}

// recordTopics has a client do everything that there is.
func recordTopics(t *testing.T) (all []string) {
	s := pubsub.NewServer(pubsub.Open())
	near := arpc.NewHandler()
	for _, h := range []*arpc.Handler{near, s.Handler} {
		h.SetLimits(arpc.Limits{Grace: -1}) // tickets are random
	}
	s.Handler.SetLogger(slog.New(slog.DiscardHandler))
	pen := &scribe{t: t}
	var far *arpc.Client
	c, err := pubsub.NewClient(func() (net.Conn, error) {
		a, b := net.Pipe()
		far = s.Handler.ServeConn(b, arpc.Accepted{})
		return &scribed{a, pen, wire.NewDecoder(wire.MaxBody), wire.NewDecoder(wire.MaxBody)}, nil
	}, quickly, pubsub.WithHandler(near))
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string, do func() error) {
		t.Helper()
		pen.begin(what)
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	publish := func(text string, opts ...pubsub.PublishOption) error {
		_, err := c.Publish("news", text, opts...)
		return err
	}
	var room *pubsub.Subscription
	step("subscribe", func() error { _, err := c.Subscribe("news", func(*pubsub.Message) {}); return err })
	step("publish", func() error { return publish("hello", pubsub.Key("k1")) })
	step("skip", func() error { return publish("to others", pubsub.NoEcho()) })
	step("skip", func() error { _, err := s.Publish("news", "to all"); return err })
	step("history", func() error { _, err := c.History("news", pubsub.HistoryQuery{Limit: 1}); return err })
	step("subscribe with presence", func() (err error) {
		room, err = c.Subscribe("room", func(*pubsub.Message) {}, pubsub.WithPresence("Ada"))
		return err
	})
	step("presence", func() error { _, err := c.Presence("room"); return err })
	step("unsubscribe", func() error { return room.Unsubscribe() })
	step("broadcast", func() error { return s.Broadcast("/push/broadcast", "hi") })
	step("hello with topics", func() error { c.Restart(); time.Sleep(time.Second); return nil })
	step("ended", func() error { s.Hub.Kick(far, "news", nil); return nil })
	pen.begin("")
	c.Stop()
	<-c.Done()
	far.Stop()
	<-far.Done()
	s.Hub.Close()
	return pen.all
}

// TestOurPeersSendWhatIsRecorded of topics, in each direction.
func TestOurPeersSendWhatIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := strings.Join(recordTopics(t), "\n") + "\n"
		if *record {
			if err := os.WriteFile(recordedPath, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(recordedPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, direction := range []string{"\tc->s\t", "\ts->c\t"} { // the two are independent of each other
			got, want := withDirection(got, direction), withDirection(string(want), direction)
			slices.Sort(got) // an answer and a push of one step may leave in either order
			slices.Sort(want)
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("frame %d: sent %q, recorded %q", i, got[i:min(i+1, len(got))], want[i:min(i+1, len(want))])
				}
			}
		}
	})
}

func withDirection(text, direction string) (some []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, direction) {
			some = append(some, line)
		}
	}
	return some
}
