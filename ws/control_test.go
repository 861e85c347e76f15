package ws_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/ws"
)

// TestPingsAreAnsweredThroughControl: what RFC 6455 wants answered goes the way
// of everything else, and nothing is written beside it.
func TestPingsAreAnsweredThroughControl(t *testing.T) {
	ours, theirs := rawPair(t, ws.Limits{})
	var control bytes.Buffer
	reads := 0
	ours.Attach(func(frame []byte) error {
		_, err := control.Write(frame)
		return err
	}, func() { reads++ })
	theirs.send(t, frame(fin|ping, []byte("are you there")), frame(fin|ping, nil), frame(fin|pong, []byte("unasked")), frame(fin|binaryData, []byte("x")))
	if _, err := io.ReadFull(ours, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	want := append([]byte{fin | pong, byte(len("are you there"))}, "are you there"...)
	want = append(want, fin|pong, 0)
	if !bytes.Equal(control.Bytes(), want) {
		t.Errorf("control got %q, want %q", control.Bytes(), want)
	}
	if reads == 0 {
		t.Error("nothing was told before the socket was read")
	}
	// The next thing on the wire is ours: no pong went around control.
	if _, err := ours.NetConn().Write(ours.AppendMessage(nil, []byte("next"))); err != nil {
		t.Fatal(err)
	}
	if first, payload, err := theirs.readFrame(); err != nil || first != fin|binaryData || string(payload) != "next" {
		t.Errorf("on the wire: %x %q, %v", first, payload, err)
	}
}

func TestAControlThatRefusesEndsReading(t *testing.T) {
	ours, theirs := rawPair(t, ws.Limits{})
	full := errors.New("no room")
	ours.Attach(func([]byte) error { return full }, func() {})
	theirs.send(t, frame(fin|ping, nil), frame(fin|binaryData, []byte("x")))
	if n, err := readAll(ours); n != 0 || !errors.Is(err, full) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

func TestPingsAreAnsweredWithoutAttach(t *testing.T) {
	for _, p := range []int{1, 3} { // coder's waits for its pong
		t.Run(pairs[p].name, func(t *testing.T) {
			ours, theirs := pairs[p].open(t, ws.Limits{})
			c := theirs.(coderPeer)
			read := make(chan error, 1)
			go func() {
				_, err := readAll(ours)
				read <- err
			}()
			reading := c.conn.CloseRead(c.ctx) // whoever reads sees the pong
			if err := c.conn.Ping(c.ctx); err != nil {
				t.Errorf("ping: %v", err)
			}
			ours.Close()
			<-read
			<-reading.Done()
		})
	}
}

func TestACloseIsReportedAndEchoed(t *testing.T) {
	eachPair(t, ws.Limits{}, func(t *testing.T, ours *ws.Conn, theirs peer) {
		ended := make(chan error, 1)
		go func() { ended <- theirs.close(ws.CloseGoingAway, "bye") }()
		_, err := readAll(ours)
		if end := assertClose(t, err, ws.CloseGoingAway, true); end.Reason != "bye" {
			t.Errorf("reason %q", end.Reason)
		}
		if err := <-ended; err != nil { // coder's waits for the echo
			t.Errorf("the peer: %v", err)
		}
	})
}

func TestTheEchoOfACloseGoesThroughControl(t *testing.T) {
	for name, c := range map[string]struct {
		payload, echo []byte
		code          int
	}{
		"with a code":    {[]byte{0x03, 0xe9, 'b', 'y', 'e'}, []byte{fin | closing, 2, 0x03, 0xe9}, ws.CloseGoingAway},
		"without a code": {nil, []byte{fin | closing, 0}, 1005},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := rawPair(t, ws.Limits{})
			var control []byte
			ours.Attach(func(f []byte) error { control = append(control, f...); return nil }, func() {})
			theirs.send(t, frame(fin|closing, c.payload))
			_, err := readAll(ours)
			assertClose(t, err, c.code, true)
			if !bytes.Equal(control, c.echo) {
				t.Errorf("echo %x, want %x", control, c.echo)
			}
		})
	}
}

func TestCloseErrorsSayWhoClosed(t *testing.T) {
	for want, e := range map[string]*ws.CloseError{
		"closed by the peer: 1001 bye": {Code: 1001, Reason: "bye", Remote: true},
		"closing: 1003 no text":        {Code: 1003, Reason: "no text"},
	} {
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%q, want %q in it", e, want)
		}
	}
}

// TestBrokenFramesCloseWithAProtocolError holds the rules of RFC 6455 sections
// 5.1, 5.2, 5.4, 5.5 and 7.4 that a peer can break.
func TestBrokenFramesCloseWithAProtocolError(t *testing.T) {
	unmasked := []byte{fin | binaryData, 1, 'x'}
	broken := map[string][][]byte{
		"unmasked":                     {unmasked},
		"unmasked control":             {{fin | ping, 0}},
		"RSV1":                         {frame(fin|rsv1|binaryData, []byte("x"))},
		"RSV2":                         {frame(fin|rsv2|binaryData, []byte("x"))},
		"RSV3":                         {frame(fin|rsv3|binaryData, []byte("x"))},
		"RSV on a control frame":       {frame(fin|rsv1|ping, nil)},
		"ping of 126 bytes":            {frame(fin|ping, make([]byte, 126))},
		"close of 126 bytes":           {frame(fin|closing, make([]byte, 126))},
		"ping of 70,000 bytes":         {frame(fin|ping, make([]byte, 70_000))},
		"fragmented ping":              {frame(ping, []byte("x"))},
		"fragmented close":             {frame(closing, nil)},
		"continuation of nothing":      {frame(fin|continuation, []byte("x"))},
		"message within a message":     {frame(binaryData, []byte("x")), frame(fin|binaryData, []byte("y"))},
		"text within a message":        {frame(binaryData, []byte("x")), frame(fin|text, []byte("y"))},
		"continuation after the last":  {frame(binaryData, nil), frame(fin|continuation, nil), frame(fin|continuation, nil)},
		"close with invalid UTF-8":     {frame(fin|closing, []byte{0x03, 0xe8, 0xff, 0xfe})},
		"unmasked within a message":    {frame(binaryData, []byte("x")), {fin, 1, 'y'}},
		"reserved within a message":    {frame(binaryData, []byte("x")), frame(fin|3, []byte("y"))},
		"RSV on a later fragment":      {frame(binaryData, []byte("x")), frame(fin|rsv1, []byte("y"))},
		"oversized ping in a message":  {frame(binaryData, []byte("x")), frame(fin|ping, make([]byte, 126))},
		"fragmented ping in a message": {frame(binaryData, []byte("x")), frame(ping, nil)},
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		broken[fmt.Sprint("opcode ", opcode)] = [][]byte{frame(fin|opcode, nil)}
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535} {
		broken[fmt.Sprint("close code ", code)] = [][]byte{frame(fin|closing, binary.BigEndian.AppendUint16(nil, code))}
	}
	for name, frames := range broken {
		t.Run(name, func(t *testing.T) {
			ours, theirs := rawPair(t, ws.Limits{})
			theirs.send(t, frames...)
			if _, err := readAll(ours); err == nil {
				t.Fatal("accepted")
			}
			first, payload, err := theirs.readFrame()
			if err != nil || first != fin|closing || len(payload) < 2 || binary.BigEndian.Uint16(payload) != ws.CloseProtocol {
				t.Errorf("the peer read %x %q, %v; want close 1002", first, payload, err)
			}
		})
	}
}

func TestALengthWithItsTopBitSetIsRefused(t *testing.T) {
	for name, length := range map[string]uint64{"top bit": 1 << 63, "all bits": 1<<64 - 1, "largest without it": 1<<63 - 1} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := rawPair(t, ws.Limits{MaxMessage: 1 << 20})
			lie := binary.BigEndian.AppendUint64([]byte{fin | binaryData, 0x80 | 127}, length)
			theirs.send(t, append(lie, 1, 2, 3, 4))
			before := allocated()
			_, err := readAll(ours)
			assertClose(t, err, ws.CloseTooBig, false)
			if grown := allocated() - before; grown > 64<<10 {
				t.Errorf("%d bytes were allocated", grown)
			}
		})
	}
}
