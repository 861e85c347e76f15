package arpc_test

import (
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// A source that is woken behind what was sent is heard behind it, whatever the
// connection is in the middle of: what a subscription has follows the answer to it.
func TestASourceFollowsWhatWasSentBeforeItWasWoken(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			near := arpc.NewHandler()
			heard := make(chan string, 2)
			for _, method := range []string{"answer", "push"} {
				near.Handle(method, func(ctx *arpc.Context) { heard <- ctx.Method() })
			}
			_, accepted := tr.Connect(t, near, arpc.NewHandler())

			filling, goOn := make(chan struct{}), make(chan struct{})
			flushed := make(chan struct{})
			go func() {
				defer close(flushed)
				accepted.Flush(sourceFunc(func(*arpc.FrameWriter) {
					close(filling)
					<-goOn
				}))
			}()
			arpctest.Closed(t, filling, "write")
			if err := accepted.Notify("answer", nil, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			accepted.Flush(sourceFunc(func(w *arpc.FrameWriter) {
				w.Append(wire.Append(nil, wire.Header{Cmd: wire.Notify, Flags: wire.Outside}, "push", nil))
			}))
			close(goOn)
			arpctest.Closed(t, flushed, "end of the write")
			for _, want := range []string{"answer", "push"} {
				if got := arpctest.Receive(t, heard, want); got != want {
					t.Errorf("heard %s, want %s", got, want)
				}
			}
		})
	}
}

// sourceFunc is a source that has something once.
type sourceFunc func(*arpc.FrameWriter)

func (f sourceFunc) Fill(w *arpc.FrameWriter) (more bool) {
	f(w)
	return false
}
