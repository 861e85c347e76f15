package pubsub_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// Who wants to fail fast is told at once, also where others ask again for as long
// as their timeout allows: here for longer than any test.
func TestFailFast(t *testing.T) {
	s, tcp, _ := start(t)
	c := dial(t, tcp, pubsub.WithTimeout(24*time.Hour), pubsub.WithClientOptions(arpc.WithFailFast()))
	if !c.FailsFast() {
		t.Error("it does not know that it fails fast")
	}
	closed, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(closed)
	arpctest.Eventually(t, "a client without a connection", func() bool { return c.State() != arpc.StateOpen })
	if _, err := c.Subscribe("news", nil); !errors.Is(err, arpc.ErrDisconnected) {
		t.Errorf("subscribe: %v", err)
	}
	if _, err := c.Publish("news", "x", pubsub.Key("k")); !errors.Is(err, arpc.ErrDisconnected) {
		t.Errorf("publish with a key: %v", err)
	}
}
