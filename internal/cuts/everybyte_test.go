package cuts_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// narrow has streams wait for credit, several times each.
func narrow() arpc.Limits { return arpc.Limits{Window: 96} }

// play is the session that is cut: it is the same each time, and its ends do it at
// the same time. name is c or s.
func (l *ledger) play(name string, c *arpc.Client) {
	together(4, func(i int) { l.call(c, "/echo", fmt.Sprint(name, " echo ", i)) })
	for range 4 {
		l.note(c, name+" note")
	}
	together(4, func(i int) {
		id := fmt.Sprint(name, " more ", i)
		if i < 2 {
			l.call(c, "/back", id)
		} else {
			l.refused(c, id)
		}
	})
	l.note(c, name+" note")
	l.mirrored(c, name+" mirrored", []int{1, 64, 100, 30, 120, 64, 90, 20})
	for range 3 {
		l.note(c, name+" note")
	}
	l.gaveUp(c, name+" gave up")
	l.tapped(c, name+" tapped")
	together(3, func(i int) { l.call(c, "/echo", fmt.Sprint(name, " last ", i)) })
}

// together does something n times at once.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

// errGreeting says that there was no session yet to be cut: the client was not told
// that it is connected.
var errGreeting = errors.New("cut in the greeting")

// cutSession runs the session through a proxy that cuts its first connections where
// it is told, and says what was not as if nothing had happened.
func cutSession(door string, plan []cuts.Cut, tap func(connection int, way cuts.Way, b []byte)) (err error) {
	st, err := open(door, narrow(), cuts.Config{Tap: tap, Plan: func(connection int) *cuts.Cut {
		if connection < len(plan) {
			return &plan[connection]
		}
		return nil
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	client, err := st.dial(narrow())
	if err != nil && st.proxy.Cuts() > 0 {
		return errGreeting
	}
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	var accepted *arpc.Client
	select {
	case accepted = <-st.accepted:
	case <-time.After(arpctest.Wait):
		client.Stop()
		return errors.New("the server sees no client")
	}
	var both sync.WaitGroup
	both.Go(func() { st.play("c", client) })
	both.Go(func() { st.play("s", accepted) })
	both.Wait()
	for i := 0; st.proxy.Cuts() < len(plan) && i < 1000; i++ { // it was to be cut behind its end
		st.call(client, "/echo", fmt.Sprint("fill ", i))
	}
	resumed := arpctest.Within(arpctest.Wait, func() bool {
		return len(plan) == 0 || st.at.client.resumed.Load() > 0 && client.State() == arpc.StateOpen
	})
	if !resumed {
		st.complain("it was not resumed")
	}
	arpctest.Within(arpctest.Wait, st.allHeard) // settle says it if that fails
	st.end(client, len(plan))
	if _, wrong := st.settle(); len(wrong) > 0 {
		return fmt.Errorf("%q", wrong)
	}
	return nil
}

// end stops the client, and sees that there was one session, from its beginning to
// its end. Attempts to take it up that say nothing are clients of their own to the
// server.
func (st *stage) end(client *arpc.Client, cuts int) {
	client.Stop()
	<-client.Done()
	ended := arpctest.Within(arpctest.Wait, func() bool {
		return st.ended.Load() > 0 && st.at.server.connected.Load() == st.at.server.disconnected.Load()
	})
	if n := st.ended.Load(); n != 1 {
		st.complain("the server saw the session end %d times", n)
	}
	if n := st.at.server.connected.Load(); !ended || n > max(1, int64(cuts)) {
		st.complain("%d sessions began and %d ended at the server", n, st.at.server.disconnected.Load())
	}
	if begun, ended := st.at.client.connected.Load(), st.at.client.disconnected.Load(); begun != 1 || ended != 1 {
		st.complain("%d sessions began and %d ended at the client", begun, ended)
	}
	for name, at := range map[string]*hooks{"client": &st.at.client, "server": &st.at.server} {
		if paused, resumed := at.paused.Load(), at.resumed.Load(); paused != resumed {
			st.complain("paused %d and resumed %d times at the %s", paused, resumed, name)
		}
		if n := at.misses.Load(); n > 1 { // that of the call that was given up
			st.complain("%d answers that nobody waited for at the %s", n, name)
		}
	}
}

// traffic is what crossed the first two connections of a session, by way.
type traffic struct {
	mu    sync.Mutex // guards what follows
	bytes [2][2][]byte
}

func (tr *traffic) tap(connection int, way cuts.Way, b []byte) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if connection < len(tr.bytes) {
		tr.bytes[connection][way] = append(tr.bytes[connection][way], b...)
	}
}

// sizes are how many bytes crossed a connection.
func (tr *traffic) sizes(connection int) (n [2]int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for way, b := range tr.bytes[connection] {
		n[way] = int64(len(b))
	}
	return n
}

// tenth says whether a position is among those of today. Without ARPC_SLOW a tenth
// is, another one each day.
func tenth(position int64) bool {
	return arpctest.Whole || (position+day)%10 == 0
}

var day = time.Now().Unix() / (24 * 60 * 60)

// ways are those of a connection.
var ways = []cuts.Way{cuts.Up, cuts.Down}

// TestEveryByte cuts the session at every byte of each way, over each door.
func TestEveryByte(t *testing.T) {
	positions := int64(0)
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			hello, all := measure(t, door)
			for _, way := range ways {
				positions += everyByte(t, door, hello[way], all[way], func(after int64) []cuts.Cut {
					return []cuts.Cut{{Way: way, After: after, Reset: after%2 == 0}}
				})
			}
		})
	}
	arpctest.Figure(t, "every_byte_positions", positions)
}

// TestEveryByteOfResuming cuts the session in its middle, and what resumes it once
// more, at every byte of each way: its hello, the answer, and what is sent again.
func TestEveryByteOfResuming(t *testing.T) {
	const again = 700 // bytes of it behind the hello
	positions := int64(0)
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			hello, all := measure(t, door)
			for _, way := range ways {
				middle := cuts.Cut{Way: way, After: (hello[way] + all[way]) / 2}
				positions += everyByte(t, door, 0, hello[way]+again, func(after int64) []cuts.Cut {
					return []cuts.Cut{middle, {Way: way, After: after, Reset: after%2 == 0}}
				})
			}
		})
	}
	arpctest.Figure(t, "every_byte_of_resuming_positions", positions)
}

// measure returns how many bytes go each way until the client is there, and in all.
func measure(t *testing.T, door string) (hello, all [2]int64) {
	t.Helper()
	var first, session traffic
	st := stages(t, door, narrow(), cuts.Config{Tap: first.tap})
	client, err := st.dial(narrow())
	if err != nil {
		t.Fatal(err)
	}
	hello = first.sizes(0)
	client.Stop()
	<-client.Done()
	if err := cutSession(door, nil, session.tap); err != nil {
		t.Fatalf("without a cut: %v", err)
	}
	return hello, session.sizes(0)
}

// TestSessionIsLong: what is cut above has 60 frames each way, and each kind of them.
func TestSessionIsLong(t *testing.T) {
	var session traffic
	if err := cutSession("tcp", nil, session.tap); err != nil {
		t.Fatal(err)
	}
	for _, way := range ways {
		frames := 0
		kinds := map[wire.Cmd]int{}
		for b := session.bytes[0][way]; len(b) > 0; frames++ {
			size := wire.HeaderLen + int(binary.LittleEndian.Uint32(b))
			f, err := wire.Split(b[:size])
			if err != nil {
				t.Fatal(err)
			}
			kinds[f.Cmd.Command()]++
			b = b[size:]
		}
		for _, kind := range []wire.Cmd{wire.Request, wire.Response, wire.Notify, wire.Stream, wire.Cancel, wire.Credit} {
			if kinds[kind] == 0 {
				t.Errorf("%v: no frame of command %d", way, kind)
			}
		}
		if frames < 60 {
			t.Errorf("%v: %d frames", way, frames)
		}
		t.Logf("%v: %d frames, %v", way, frames, kinds)
	}
}

// everyByte runs the session once for each position, and returns how many it were.
func everyByte(t *testing.T, door string, from, to int64, plan func(after int64) []cuts.Cut) int64 {
	t.Helper()
	const workers, enough, greeting = 4, 5, 64
	var next, done, failed, early atomic.Int64
	next.Store(from)
	together(workers, func(int) {
		for after := next.Add(1) - 1; after < to && failed.Load() < enough; after = next.Add(1) - 1 {
			if !tenth(after) {
				continue
			}
			done.Add(1)
			switch err := cutSession(door, plan(after), nil); {
			case errors.Is(err, errGreeting):
				early.Add(1)
			case err != nil:
				failed.Add(1)
				t.Errorf("%+v: %v", plan(after), err)
			}
		}
	})
	if n := early.Load(); n > greeting {
		t.Errorf("%d positions are in the greeting", n)
	}
	return done.Load()
}
