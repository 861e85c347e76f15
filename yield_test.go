package arpc_test

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// What has no company leaves at once: who sends it does not let others run first,
// for nothing that they do would leave with it.
func TestWhoIsAloneSendsAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, tr := range arpctest.Transports[1:] {
		t.Run(tr.Name, func(t *testing.T) {
			near, far := newBystander(), newBystander()
			far.Handle("echo", func(ctx *arpc.Context) {
				far.getReady()
				_ = ctx.Write(ctx.Body())
			})
			client, _ := tr.Connect(t, near.Handler, far.Handler)
			const calls = 100
			for range calls {
				near.getReady()
				if err := client.Call("echo", "x", nil, arpctest.Wait); err != nil {
					t.Fatal(err)
				}
			}
			for name, b := range map[string]*bystander{"requests": near, "answers": far} {
				if n := b.first.Load(); n > calls/2 { // the scheduler may let it run all the same, but not often
					t.Errorf("%s: somebody else ran before %d of %d left", name, n, calls)
				}
			}
		})
	}
}

// bystander is a goroutine that is ready to run when a handler's peer is sent to.
type bystander struct {
	*arpc.Handler
	ready atomic.Bool
	first atomic.Int64 // how often it ran before something was sent
	ran   atomic.Bool
}

func newBystander() *bystander {
	b := &bystander{Handler: arpc.NewHandler()}
	b.BeforeSend(func(net.Conn) error {
		if b.ready.Swap(false) && b.ran.Load() {
			b.first.Add(1)
		}
		return nil
	})
	return b
}

func (b *bystander) getReady() {
	b.ran.Store(false)
	b.ready.Store(true)
	go b.ran.Store(true)
}
