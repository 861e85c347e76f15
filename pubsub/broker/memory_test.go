package broker_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	brokertest.Run(t, func(*testing.T) broker.Broker { return broker.NewMemory(0) })
}
