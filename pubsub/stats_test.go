package pubsub_test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// baseSubscriber subscribes over TCP as an original does, and never reads.
func baseSubscriber(t *testing.T, address, name string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := binary.LittleEndian.AppendUint16([]byte(name), uint16(len(name)))
	frame := wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 1}, "in_S", binary.LittleEndian.AppendUint64(body, 0))
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
}

func TestTopicStats(t *testing.T) {
	s, tcp, _ := start(t, pubsub.Open())
	if got := s.TopicStats(); got.Topics != 0 || got.Subscriptions != 0 || got.Lag != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	reads, _ := hear(t, dial(t, tcp), "news")
	other, _ := hear(t, dial(t, tcp), "other")
	baseSubscriber(t, tcp, "news")
	arpctest.Eventually(t, "three subscriptions", func() bool { return s.TopicStats().Subscriptions == 3 })
	const publications = 600
	large := strings.Repeat("x", 64<<10) // more than sockets hold
	for range publications {
		if _, err := s.Publish("news", large); err != nil {
			t.Fatal(err)
		}
		arpctest.Receive(t, reads, "publication") // the one that reads is not to lag
	}
	mustPublish(t, s, "other", 0, 1)
	arpctest.Receive(t, other, "publication")
	arpctest.Eventually(t, "one subscriber alone lags", func() bool {
		got := s.TopicStats()
		return got.Topics == 2 && got.MaxLag > 0 && got.MaxLag <= publications && got.Lag == got.MaxLag
	})
}
