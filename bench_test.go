package arpc_test

import (
	"context"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

type note struct {
	Text string `json:"text"`
}

// BenchmarkCall is a call with both peers in one process, ten callers at a time:
// what a change to the engine costs, without the noise of two processes.
func BenchmarkCall(b *testing.B) {
	far := arpc.NewHandler()
	far.Handle("/bytes", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Body()) }, arpc.Inline)
	arpc.Route(far, "/typed", func(_ *arpc.Context, n note) (note, error) { return n, nil })
	text := "0123456789012345678901234567890123456789012345678901234567890123"
	for _, tr := range arpctest.Transports[1:] {
		near, _ := tr.Connect(b, arpc.NewHandler(), far)
		b.Run(tr.Name+"/bytes", func(b *testing.B) {
			callAtOnce(b, func() error {
				var back []byte
				return near.CallWith(context.Background(), "/bytes", []byte(text), &back)
			})
		})
		b.Run(tr.Name+"/typed", func(b *testing.B) {
			callAtOnce(b, func() error {
				var back note
				return near.CallWith(context.Background(), "/typed", note{text}, &back)
			})
		})
	}
}

func callAtOnce(b *testing.B, call func() error) {
	b.ReportAllocs()
	b.SetParallelism(5) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := call(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
