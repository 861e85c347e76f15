package ws_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/quiet"
	"github.com/seed-fbfaa03e/arpc/ws"
)

func TestMessagesAndFragmentsAreOneStream(t *testing.T) {
	for _, step := range []int{1, 3, 4096} {
		ours, theirs := rawPair(t, ws.Limits{})
		ours.Attach(func([]byte) error { return nil }, func() {})
		theirs.send(t,
			frame(fin|binaryData, []byte("one ")),
			frame(fin|binaryData, nil), // an empty message is nothing
			frame(binaryData, []byte("t")),
			frame(continuation, nil),
			frame(fin|ping, []byte("between fragments")),
			frame(continuation, []byte("w")),
			frame(fin|continuation, []byte("o ")),
			frame(binaryData, nil), frame(fin|continuation, nil),
			frame(fin|binaryData, bytes.Repeat([]byte("x"), 70_000)),
			frame(fin|closing, []byte{0x03, 0xe8}),
		)
		var got bytes.Buffer
		piece := make([]byte, step)
		var err error
		for err == nil {
			var n int
			n, err = ours.Read(piece)
			got.Write(piece[:n])
		}
		if want := "one two " + strings.Repeat("x", 70_000); got.String() != want {
			t.Errorf("step %d: read %.40q and more, %d bytes", step, got.String(), got.Len())
		}
		assertClose(t, err, ws.CloseNormal, true)
	}
}

// TestWhatComesAfterSilenceIsRead, however often it was silent: it holds no memory
// for what it reads meanwhile.
func TestWhatComesAfterSilenceIsRead(t *testing.T) {
	ours, theirs := rawPair(t, ws.Limits{})
	ours.Attach(func([]byte) error { return nil }, func() {})
	for _, sent := range []string{"first", "short", strings.Repeat("long", 1000)} {
		theirs.send(t, frame(fin|ping, []byte(strings.Repeat("p", 125))), frame(fin|binaryData, []byte(sent)))
		got := make([]byte, 0, len(sent))
		for len(got) < len(sent) {
			if !ours.Ready() {
				if err := ours.Await(); err != nil {
					t.Fatal(err)
				}
			}
			n, err := ours.Read(got[len(got):cap(got)])
			if err != nil {
				t.Fatal(err)
			}
			got = got[:len(got)+n]
		}
		if string(got) != sent {
			t.Errorf("got %d bytes, %.20q", len(got), got)
		}
		if err := ours.Await(); !errors.Is(err, quiet.ErrSilent) {
			t.Fatal(err)
		}
	}
}

func assertClose(t *testing.T, err error, code int, remote bool) *ws.CloseError {
	t.Helper()
	var end *ws.CloseError
	if !errors.As(err, &end) || end.Code != code || end.Remote != remote {
		t.Fatalf("got %v, want code %d, remote %v", err, code, remote)
	}
	return end
}

// readAll reads until the stream ends, and says how many bytes came before.
func readAll(c *ws.Conn) (int, error) {
	var total int
	piece := make([]byte, 4096)
	for {
		n, err := c.Read(piece)
		total += n
		if err != nil {
			return total, err
		}
	}
}

func TestATextMessageIsRefused(t *testing.T) {
	ours, theirs := rawPair(t, ws.Limits{})
	theirs.send(t, frame(fin|binaryData, []byte("before")), frame(fin|text, []byte("words")))
	n, err := readAll(ours)
	if n != len("before") {
		t.Errorf("read %d bytes", n)
	}
	assertClose(t, err, ws.CloseUnsupported, false)
}

func TestTheLimitCountsAllFragmentsOfAMessage(t *testing.T) {
	const limit = 1000
	over := map[string][][]byte{
		"one frame": {frame(fin|binaryData, make([]byte, limit+1))},
		"fragments": {frame(binaryData, make([]byte, limit-1)), frame(continuation, []byte{1}), frame(fin|continuation, []byte{2})},
		"a claim":   {{fin | binaryData, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}},
	}
	for name, frames := range over {
		t.Run(name, func(t *testing.T) {
			ours, theirs := rawPair(t, ws.Limits{MaxMessage: limit})
			theirs.send(t, frames...)
			n, err := readAll(ours)
			if n > limit {
				t.Errorf("read %d bytes, limit %d", n, limit)
			}
			assertClose(t, err, ws.CloseTooBig, false)
		})
	}
	t.Run("each message has the whole limit", func(t *testing.T) {
		ours, theirs := rawPair(t, ws.Limits{MaxMessage: limit})
		for range 5 {
			theirs.send(t, frame(binaryData, make([]byte, limit/2)), frame(fin|continuation, make([]byte, limit/2)))
		}
		if _, err := io.ReadFull(ours, make([]byte, 5*limit)); err != nil {
			t.Error(err)
		}
	})
}

// TestEndlessEmptyFragmentsEndTheConnection: they are no payload, so a limit on
// messages does not see them, and a stream of them never ends a message.
func TestEndlessEmptyFragmentsEndTheConnection(t *testing.T) {
	for name, first := range map[string][]byte{"after a byte": {1}, "after nothing": nil} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := rawPair(t, ws.Limits{MaxMessage: 1024, MessageTimeout: patience})
			attack := bytes.Repeat(frame(continuation, nil), 300_000)
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = theirs.Write(frame(binaryData, first))
				_, _ = theirs.Write(attack) // fails when ours closes
			}()
			before := allocated()
			n, err := readAll(ours)
			grown := allocated() - before
			ours.Close()
			<-sent
			if end := assertClose(t, err, ws.ClosePolicy, false); end.Reason != "too many fragments" {
				t.Errorf("reason %q", end.Reason)
			}
			if n != len(first) {
				t.Errorf("read %d bytes", n)
			}
			if grown > 256<<10 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}

// TestPingsBetweenFragmentsEndTheConnection is the same attack in another dress.
func TestPingsBetweenFragmentsEndTheConnection(t *testing.T) {
	ours, theirs := rawPair(t, ws.Limits{MaxMessage: 1024, MessageTimeout: patience})
	pongs := 0
	ours.Attach(func([]byte) error { pongs++; return nil }, func() {})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = theirs.Write(frame(binaryData, []byte{1}))
		_, _ = theirs.Write(bytes.Repeat(frame(fin|ping, make([]byte, 100)), 10_000))
	}()
	_, err := readAll(ours)
	ours.Close()
	<-sent
	assertClose(t, err, ws.ClosePolicy, false)
	if pongs == 0 || pongs > 1000 {
		t.Errorf("%d pongs", pongs)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestAMessageThatNeverEndsIsGivenUp: each byte is progress, and yet the
// deadline of the message stands. Were it renewed, the count of fragments would
// end the connection much later, for another reason.
func TestAMessageThatNeverEndsIsGivenUp(t *testing.T) {
	ours, theirs := rawPair(t, ws.Limits{MessageTimeout: 100 * time.Millisecond})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		next := frame(binaryData, []byte{1})
		for {
			if _, err := theirs.Write(next); err != nil {
				return
			}
			next = frame(continuation, []byte{1})
			select {
			case <-pace.C:
			case <-stop:
				return
			}
		}
	}()
	_, err := readAll(ours)
	close(stop)
	<-stopped
	if end := assertClose(t, err, ws.ClosePolicy, false); end.Reason != "message not whole in time" {
		t.Errorf("reason %q", end.Reason)
	}
}

// deadlines records what a connection's read deadline is set to.
type deadlines struct {
	net.Conn
	mu   sync.Mutex
	read []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read = append(d.read, at)
	return d.Conn.SetReadDeadline(at)
}

func (d *deadlines) last() (at time.Time, set int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.read) == 0 {
		return time.Time{}, 0
	}
	return d.read[len(d.read)-1], len(d.read)
}

// TestTheDeadlineOfAMessageEndsWithIt, or the silence after it would kill.
func TestTheDeadlineOfAMessageEndsWithIt(t *testing.T) {
	var below *deadlines
	url, accepted := listen(t, ws.UpgradeOptions{})
	ours := dial(t, url, ws.DialOptions{
		Limits: ws.Limits{MessageTimeout: time.Hour},
		NetDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			below = &deadlines{Conn: conn}
			return below, err
		},
	})
	theirs := <-accepted
	_, before := below.last()
	message := theirs.AppendMessage(nil, []byte("whole"))
	for _, part := range []struct{ sent, read int }{{len(message) - 3, 2}, {3, 3}} {
		if _, err := theirs.NetConn().Write(message[:part.sent]); err != nil {
			t.Fatal(err)
		}
		message = message[part.sent:]
		if _, err := io.ReadFull(ours, make([]byte, part.read)); err != nil {
			t.Fatal(err)
		}
	}
	if at, set := below.last(); set == before || at.IsZero() {
		t.Fatalf("a message that was not whole had no deadline: %v", at)
	}
	if _, err := theirs.Write([]byte("next")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ours, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if at, _ := below.last(); !at.IsZero() {
		t.Errorf("the deadline stands after the message: %v", at)
	}
}

func TestASocketThatEndsWithoutACloseFrame(t *testing.T) {
	for name, last := range map[string][]byte{
		"between messages": frame(fin|binaryData, []byte("x")),
		"in a message":     frame(binaryData, []byte("x")),
		"in a payload":     frame(fin|binaryData, []byte("xyz"))[:7],
		"in a header":      {fin | binaryData},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := rawPair(t, ws.Limits{})
			theirs.send(t, last)
			theirs.Close()
			if _, err := readAll(ours); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDeadlinesOfTheCallerHold(t *testing.T) {
	ours, _ := rawPair(t, ws.Limits{})
	if err := ours.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), os.ErrDeadlineExceeded.Error()) {
		t.Errorf("read: %v", err)
	}
	if err := ours.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	if err := ours.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write([]byte("x")); err != nil {
		t.Errorf("write without a deadline: %v", err)
	}
}
