package sessions_test

import (
	"errors"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// TestReplacedAgainAndAgain: however a session goes from one connection to the
// next, in the end it is where the client is.
func TestReplacedAgainAndAgain(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	for range scaled(3000) {
		before := s.peer
		d.resume(t, s, "")
		before.Close()
		arpctest.Eventually(t, "open", func() bool { return s.client.State() == arpc.StateOpen })
		if err := s.client.Notify("/note", "x", arpc.TimeZero); err != nil {
			t.Fatal(err)
		}
		if f := s.read(); f.method != "/note" {
			t.Fatalf("got %+v", f)
		}
	}
}

// TestSentWhileTakenUp: what is sent while a session goes to another connection
// gets there.
func TestSentWhileTakenUp(t *testing.T) {
	d := open(t, arpc.Limits{}, false)
	s := d.begin(t, "", "")
	const burst = 100
	for range scaled(2000) {
		before, sent := s.peer, make(chan error, 1)
		go func() {
			var err error
			for range burst {
				err = errors.Join(err, s.client.Notify("/note", "x", arpctest.Wait))
			}
			sent <- err
		}()
		d.resume(t, s, "")
		before.Close()
		for range burst {
			s.read()
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}
