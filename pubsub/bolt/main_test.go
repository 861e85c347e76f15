package bolt

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
)

func TestMain(m *testing.M) {
	if f := os.Getenv(childRole); f != "" {
		runChild(f)
		return
	}
	goleak.VerifyTestMain(m)
}

// quiet is what tests open with that make the file fail.
var quiet = Logger(slog.New(slog.DiscardHandler))

func openBroker(t *testing.T, path string, opts ...Option) *Broker {
	t.Helper()
	b, err := Open(path, append([]Option{quiet}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func TestConformance(t *testing.T) {
	for name, opts := range map[string][]Option{
		"synced":   {Linger(0)},
		"unsynced": {Linger(0), NeverSync()},
		"together": {Linger(0), CommitEvery(2_000_000)},
	} {
		t.Run(name, func(t *testing.T) {
			brokertest.Run(t, func(t *testing.T) broker.Broker {
				return openBroker(t, filepath.Join(t.TempDir(), "topics.db"), opts...)
			})
		})
	}
}
