package contender

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/bolt"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

// published is the topic, or the stream, that everybody publishes to; of each the
// newest are held.
const (
	published = "published"
	held      = 1000
)

// durables are the ways to publish to a topic of this project: a call is a
// publication, and ends when it is acknowledged.
var durables = []Contender{
	{
		Name: "arpc-memory", About: "topics in memory: they end with the process",
		Serve: topics(func() (broker.Broker, error) { return broker.NewMemory(0), nil }), Dial: dialTopic,
	},
	{
		Name: "arpc-bolt", About: "topics in a file, acknowledged when they are synced to the disk",
		Serve: topics(openBolt()), Dial: dialTopic,
	},
	{
		Name: "arpc-bolt-never", About: "topics in a file, synced when the system likes",
		Serve: topics(openBolt(bolt.NeverSync())), Dial: dialTopic,
	},
}

// emptyFolder is where a server keeps its data. It is emptied by the next one:
// servers are ended without notice.
func emptyFolder() (string, error) {
	folder := filepath.Join(os.TempDir(), "arpc-bench-durable")
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	return folder, os.Mkdir(folder, 0o700)
}

func openBolt(opts ...bolt.Option) func() (broker.Broker, error) {
	return func() (broker.Broker, error) {
		folder, err := emptyFolder()
		if err != nil {
			return nil, err
		}
		return bolt.Open(filepath.Join(folder, "topics.db"), opts...)
	}
}

func topics(open func() (broker.Broker, error)) func(net.Listener) error {
	return func(ln net.Listener) error {
		b, err := open()
		if err != nil {
			return err
		}
		s := pubsub.NewServer(pubsub.Open(), pubsub.WithBroker(b), pubsub.Topics(func(_ string, t *pubsub.TopicSettings) {
			t.History.Entries, t.Keep = held, true
		}))
		return s.Serve(ln)
	}
}

// publisher publishes to a topic.
type publisher struct {
	client *pubsub.Client
	text   string
}

func dialTopic(t Target) (drive.Caller, error) {
	c, err := pubsub.NewClient(t.dial)
	if err != nil {
		return nil, err
	}
	return &publisher{c, t.Text}, nil
}

func (p *publisher) Call() error {
	at, err := p.client.Publish(published, p.text)
	if err == nil && at.Offset == 0 {
		err = fmt.Errorf("published, but to no place: %v", at)
	}
	return err
}

func (p *publisher) Close() error { return stop(p.client.Client) }
