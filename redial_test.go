package arpc_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// sendsAway is a server that wants to be left a second after hello.
func sendsAway(t *testing.T, goaway string) (dial func() (net.Conn, error), dials *atomic.Int32) {
	dials = new(atomic.Int32)
	return func() (net.Conn, error) {
		near, far := net.Pipe()
		p := newRawPeer(t, far)
		dials.Add(1)
		go func() {
			hello, _ := p.next()
			h := wire.Header{Cmd: wire.Response, Flags: wire.Outside.WithKind(wire.Value), Seq: hello.Seq}
			p.send(h, "arpc.hello", ourHello)
			time.Sleep(time.Second)
			h.Cmd, h.Seq = wire.Notify, 0
			if _, err := far.Write(wire.Append(nil, h, "arpc.goaway", []byte(goaway))); err != nil {
				return // the client was stopped meanwhile
			}
			for ok := true; ok; {
				_, ok = p.next()
			}
		}()
		return near, nil
	}, dials
}

// Who is sent away as soon as it comes back waits as after any other connection
// that did not hold, and at least as long as it was asked to.
func TestBeingSentAwayAtOnceIsAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		goaway      string
		least, most int32 // dials in an hour
	}{
		"for no time":        {`{"delay":0,"until":0}`, 180, 1000},
		"for a minute":       {`{"delay":60000,"until":0}`, 50, 61},
		"for less than none": {`{"delay":-5,"until":-5}`, 180, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, dials := sendsAway(t, c.goaway)
				client, err := arpc.NewClient(dial, arpc.WithHandler(arpc.NewHandler()))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				client.Stop()
				<-client.Done()
				if n := dials.Load(); n < c.least || n > c.most {
					t.Errorf("dialed %d times in an hour, want %d to %d", n, c.least, c.most)
				}
				time.Sleep(time.Second) // the last one sends its goaway in vain
				synctest.Wait()
			})
		})
	}
}

// A connection that held starts the waits over, also when it ends with a goaway.
func TestAConnectionThatHeldStartsTheWaitsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const held = time.Minute
		var dials atomic.Int32
		far := arpc.NewHandler()
		client, err := arpc.NewClient(func() (net.Conn, error) {
			dials.Add(1)
			near, end := net.Pipe()
			accepted := far.ServeConn(end, arpc.Accepted{})
			go func() {
				time.Sleep(held)
				_ = accepted.Drain(t.Context())
			}()
			return near, nil
		}, arpc.WithHandler(arpc.NewHandler()))
		if err != nil {
			t.Fatal(err)
		}
		const times = 20
		time.Sleep(times * (held + 2*time.Second)) // a second at most each asks for, and waits less
		if n := dials.Load(); n <= times {
			t.Errorf("dialed %d times, want more than %d", n, times)
		}
		client.Stop()
		<-client.Done()
		time.Sleep(held)
		synctest.Wait()
	})
}

// Restart does not wait, however often it is called and whatever the backoff is.
func TestRestartDialsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		far := arpc.NewHandler()
		client, err := arpc.NewClient(func() (net.Conn, error) {
			dials.Add(1)
			near, end := net.Pipe()
			far.ServeConn(end, arpc.Accepted{})
			return near, nil
		}, arpc.WithHandler(arpc.NewHandler()), arpc.WithBackoff(arpc.Backoff{First: time.Hour, Max: time.Hour}))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range int32(5) {
			client.Restart()
			for dials.Load() < n+2 || client.State() != arpc.StateOpen {
				time.Sleep(time.Millisecond)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("five of them took %v", took)
		}
		client.Stop()
		<-client.Done()
		synctest.Wait()
	})
}
