//go:build unix

package quiet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/quiet"
)

// room counts how often it is taken and given back.
type room struct {
	block       [16]byte
	taken       bool
	given, took int
}

func (r *room) Buffer() []byte {
	if !r.taken {
		r.took++
	}
	r.taken = true
	return r.block[:]
}

func (r *room) Release() {
	if r.taken {
		r.given++
	}
	r.taken = false
}

// pair is a socket with a reader, and its other end.
func pair(t *testing.T) (near, far net.Conn, r *quiet.Reader, into *room) {
	t.Helper()
	near, far = arpctest.Sockets(t)
	into = &room{}
	return near, far, quiet.NewReader(near, into), into
}

func TestAwaitTellsOfSilenceAndHoldsNothingMeanwhile(t *testing.T) {
	_, far, r, into := pair(t)
	if _, err := far.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Await(); err != nil || string(into.block[:n]) != "first" {
		t.Fatalf("%q, %v", into.block[:n], err)
	}
	into.Release()
	if n, err := r.Await(); n != 0 || !errors.Is(err, quiet.ErrSilent) || into.taken {
		t.Fatalf("%d, %v, room held: %v", n, err, into.taken)
	}
	if _, err := far.Write([]byte("second")); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Await(); err != nil || string(into.block[:n]) != "second" {
		t.Fatalf("after silence: %q, %v", into.block[:n], err)
	}
	if into.took != into.given+1 {
		t.Errorf("taken %d times, given back %d", into.took, into.given)
	}
}

func TestTheFirstWaitIsNotSilence(t *testing.T) {
	near, _, r, _ := pair(t)
	if err := near.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Await(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("somebody else's deadline: %v", err)
	}
}

func TestReadTakesBackTheDeadlineOfSilence(t *testing.T) {
	_, far, r, into := pair(t)
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Await(); err != nil {
		t.Fatal(err)
	}
	into.Release()
	read := make(chan error, 1)
	go func() {
		_, err := r.Read()
		read <- err
	}()
	silence := time.AfterFunc(2500*time.Millisecond, func() { far.Close() })
	defer silence.Stop()
	if err := <-read; !errors.Is(err, io.EOF) {
		t.Errorf("a read longer than any silence: %v", err)
	}
}

func TestTheEndOfASocket(t *testing.T) {
	near, far, r, into := pair(t)
	far.Close()
	if _, err := r.Await(); !errors.Is(err, io.EOF) {
		t.Errorf("closed by the peer: %v", err)
	}
	into.Release()
	near.Close()
	if _, err := r.Await(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed here: %v", err)
	}
}

// wrapped has a Read of its own, perhaps.
type wrapped struct{ *net.TCPConn }

func TestOnlyPlainSocketsHaveAReader(t *testing.T) {
	near, _, _, into := pair(t)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, conn := range []net.Conn{a, wrapped{near.(*net.TCPConn)}} {
		if quiet.NewReader(conn, into) != nil {
			t.Errorf("%T has a reader", conn)
		}
	}
}

func TestSilenceIsToldAfterReadsOfBothKinds(t *testing.T) {
	_, far, r, into := pair(t)
	for _, read := range []func() (int, error){r.Await, r.Read, r.Await} {
		if _, err := far.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := read(); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		into.Release()
		if _, err := r.Await(); !errors.Is(err, quiet.ErrSilent) {
			t.Fatal(err)
		}
	}
}
