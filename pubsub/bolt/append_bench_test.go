package bolt

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
)

// BenchmarkAppend is publishers that each wait for their acknowledgement.
func BenchmarkAppend(b *testing.B) {
	frame := string(make([]byte, 128))
	for name, opts := range map[string][]Option{"synced": nil, "unsynced": {NeverSync()}} {
		for _, publishers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/publishers=%d", name, publishers), func(b *testing.B) {
				bb, err := Open(filepath.Join(b.TempDir(), "topics.db"), opts...)
				if err != nil {
					b.Fatal(err)
				}
				b.SetParallelism(max(1, publishers/2))
				b.RunParallel(func(pb *testing.PB) {
					told := make(chan error, 1)
					for pb.Next() {
						bb.Append(broker.Append{Topic: "t", Frame: brokertest.Frame(frame), Settings: brokertestKept(brokertest.Settings.Retention)},
							func(_ broker.Position, err error) { told <- err })
						if err := <-told; err != nil {
							b.Error(err)
						}
					}
				})
				b.StopTimer()
				if err := bb.Close(); err != nil {
					b.Error(err)
				}
			})
		}
	}
}
