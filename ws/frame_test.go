package ws_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-fbfaa03e/arpc/ws"
)

// sizes are both sides of each border between the three forms of a length.
var sizes = []struct{ payload, header int }{
	{0, 2}, {1, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {200_000, 10},
}

func payloadOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

func TestMessagesReachOtherImplementations(t *testing.T) {
	eachPair(t, ws.Limits{}, func(t *testing.T, ours *ws.Conn, theirs peer) {
		var all []byte // many messages leave in one write
		for _, s := range sizes {
			all = ours.AppendMessage(all, payloadOf(s.payload))
		}
		sent := make(chan error, 1)
		go func() {
			_, err := ours.NetConn().Write(all)
			sent <- err
		}()
		for _, s := range sizes {
			binary, got, err := theirs.read()
			if err != nil || !binary || !bytes.Equal(got, payloadOf(s.payload)) {
				t.Fatalf("%d bytes: got %d, binary %v, %v", s.payload, len(got), binary, err)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestMessagesOfOtherImplementationsAreReadAsOneStream(t *testing.T) {
	eachPair(t, ws.Limits{MaxMessage: 200_000, MessageTimeout: patience}, func(t *testing.T, ours *ws.Conn, theirs peer) {
		sent := make(chan error, 1)
		go func() {
			var err error
			for _, s := range sizes {
				err = errors.Join(err, theirs.write(payloadOf(s.payload)))
			}
			sent <- err
		}()
		var want []byte
		for _, s := range sizes {
			want = append(want, payloadOf(s.payload)...)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(ours, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %v, equal %v", err, bytes.Equal(got, want))
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestHeadersAreAsShortAsTheyCanBe(t *testing.T) {
	eachPair(t, ws.Limits{}, func(t *testing.T, ours *ws.Conn, _ peer) {
		masked := 0
		if strings.Contains(t.Name(), "client") {
			masked = 4
		}
		for _, s := range sizes {
			got := ours.AppendMessage(nil, payloadOf(s.payload))
			if len(got) != s.header+masked+s.payload {
				t.Errorf("%d bytes: %d in front, want %d", s.payload, len(got)-s.payload, s.header+masked)
			}
			if got[0] != fin|binaryData || (got[1]&0x80 != 0) != (masked > 0) {
				t.Errorf("%d bytes: header %x", s.payload, got[:2])
			}
		}
	})
}

// TestEveryFrameOfAClientHasItsOwnMask: a mask that can be foretold lets a page
// choose what goes over the wire (RFC 6455 section 10.3).
func TestEveryFrameOfAClientHasItsOwnMask(t *testing.T) {
	ours, _ := pairs[2].open(t, ws.Limits{})
	masks := map[string]bool{}
	for range 100 {
		masks[string(ours.AppendMessage(nil, []byte("x"))[2:6])] = true
	}
	if len(masks) < 99 { // one pair of equal masks has a chance of 1 in 870,000
		t.Errorf("100 frames have %d masks", len(masks))
	}
}

func TestWrapLeavesWhatIsInFront(t *testing.T) {
	eachPair(t, ws.Limits{}, func(t *testing.T, ours *ws.Conn, theirs peer) {
		for _, room := range []int{0, 100_000} { // grown, and in place
			buf := append(make([]byte, 0, room), "in front"...)
			buf = ours.Wrap(append(buf, "the message"...), len("in front"))
			if !bytes.HasPrefix(buf, []byte("in front")) {
				t.Fatalf("in front is %q", buf[:8])
			}
			if _, err := ours.NetConn().Write(buf[len("in front"):]); err != nil {
				t.Fatal(err)
			}
			if _, got, err := theirs.read(); err != nil || string(got) != "the message" {
				t.Errorf("got %q, %v", got, err)
			}
		}
	})
}

func TestWriteIsOneMessage(t *testing.T) {
	eachPair(t, ws.Limits{}, func(t *testing.T, ours *ws.Conn, theirs peer) {
		for i := range 3 {
			want := fmt.Sprint("message ", i)
			if n, err := ours.Write([]byte(want)); n != len(want) || err != nil {
				t.Fatalf("wrote %d, %v", n, err)
			}
			if _, got, err := theirs.read(); err != nil || string(got) != want {
				t.Errorf("got %q, %v", got, err)
			}
		}
	})
}

func TestCloseFramesAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		code         int
		reason, want string
	}{
		{ws.CloseNormal, "", ""},
		{ws.CloseGoingAway, "shutting down", "shutting down"},
		{ws.CloseUnsupported, "binary messages only", "binary messages only"},
		{ws.CloseTooBig, strings.Repeat("r", 123), strings.Repeat("r", 123)},
		{ws.ClosePolicy, strings.Repeat("r", 124), strings.Repeat("r", 123)},
		{ws.CloseInternal, strings.Repeat("é", 70), strings.Repeat("é", 61)}, // 123 is in the middle of one
		{ws.CloseProtocol, "not UTF-8: \xff", "not UTF-8: "},
	} {
		t.Run(fmt.Sprint(c.code), func(t *testing.T) {
			eachPair(t, ws.Limits{}, func(t *testing.T, ours *ws.Conn, theirs peer) {
				if _, err := ours.NetConn().Write(ours.AppendClose(nil, c.code, c.reason)); err != nil {
					t.Fatal(err)
				}
				_, _, err := theirs.read()
				var end *closed
				if !errors.As(err, &end) || end.code != c.code || end.reason != c.want {
					t.Fatalf("the peer read %v, want %d %q", err, c.code, c.want)
				}
				if !utf8.ValidString(end.reason) {
					t.Errorf("reason %q", end.reason)
				}
			})
		})
	}
}

// FuzzWrap holds the round trip through gorilla's reader, in both roles, for
// any bytes behind any other bytes.
func FuzzWrap(f *testing.F) {
	ends := make([]struct {
		ours   *ws.Conn
		theirs peer
	}, 2)
	ends[0].ours, ends[0].theirs = pairs[0].open(f, ws.Limits{})
	ends[1].ours, ends[1].theirs = pairs[2].open(f, ws.Limits{})
	for _, e := range ends { // fuzzing takes longer than a test may wait
		_ = e.theirs.(gorillaPeer).conn.NetConn().SetDeadline(time.Time{})
	}
	for _, s := range sizes {
		f.Add([]byte("in front"), payloadOf(s.payload))
	}
	f.Fuzz(func(t *testing.T, front, payload []byte) {
		for _, e := range ends {
			buf := e.ours.Wrap(append(bytes.Clone(front), payload...), len(front))
			if !bytes.HasPrefix(buf, front) {
				t.Fatal("what was in front changed")
			}
			sent := make(chan error, 1)
			go func() {
				_, err := e.ours.NetConn().Write(buf[len(front):])
				sent <- err
			}()
			if _, got, err := e.theirs.read(); err != nil || !bytes.Equal(got, payload) {
				t.Fatalf("got %x, %v; want %x", got, err, payload)
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
		}
	})
}
