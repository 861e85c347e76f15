package sessions_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// tapped counts what a connection in memory carries, both ways.
type tapped struct {
	net.Conn
	out, in *tally
}

func (c tapped) Write(b []byte) (int, error) {
	c.out.take(b)
	return c.Conn.Write(b)
}

func (c tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.take(b[:n])
	return n, err
}

// TestIdleSessionIsSilent: once all is confirmed, sessions send nothing. What there
// is are the pings that there are without sessions.
func TestIdleSessionIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		accepting := arpc.NewHandler()
		accepting.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write("echo") }) // a lost session is seen otherwise
		link := arpctest.NewLink(t, accepting)
		var out, in tally
		c, err := arpc.NewClient(func() (net.Conn, error) {
			conn, err := link.Open()
			return tapped{conn, &out, &in}, err
		}, arpc.WithHandler(arpc.NewHandler()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Stop(); <-c.Done() })
		if !c.Capable("resume") {
			t.Fatal("there is no session")
		}
		counts := func() (n [2]map[byte]int) {
			synctest.Wait()
			for i, y := range []*tally{&out, &in} {
				y.mu.Lock()
				n[i] = map[byte]int{}
				for cmd, frames := range y.frames {
					n[i][cmd] = frames
				}
				y.mu.Unlock()
			}
			return n
		}
		if err := c.Call("/echo", "a", nil, time.Second); err != nil {
			t.Fatal(err)
		}
		before := counts()
		time.Sleep(5 * time.Second)
		confirmed := counts()
		for i, way := range []string{"out", "in"} {
			if n := confirmed[i][rawframe.CmdConfirm] - before[i][rawframe.CmdConfirm]; n != 1 {
				t.Errorf("%s: what was received last was confirmed %d times", way, n)
			}
		}
		time.Sleep(time.Minute)
		after := counts()
		for i, way := range []string{"out", "in"} {
			for cmd, n := range after[i] {
				if extra := n - confirmed[i][cmd]; extra > 0 && cmd != rawframe.CmdPing && cmd != rawframe.CmdPong {
					t.Errorf("%s: %d frames of command %d in a minute of silence", way, extra, cmd)
				}
			}
		}
		pings := after[1][rawframe.CmdPing] - confirmed[1][rawframe.CmdPing]
		t.Logf("idle_frames=0 beside %d pings", pings)
		if pings == 0 {
			t.Error("nothing was sent at all, so the minute was none")
		}
	})
}
