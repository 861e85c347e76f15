package server_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

func TestFramesOverTheLimitEndTheConnectionBeforeTheirBody(t *testing.T) {
	const limit = 1000
	eachDoor(t, limits(arpc.Limits{Body: limit, WebSocketBody: limit}), func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		p.send(t, request(1, "/echo", strings.Repeat("x", limit-len("/echo"))))
		if f := p.until(t, wire.Response); len(f.Body) != limit-len("/echo") {
			t.Errorf("at the limit: %d bytes, flags %x", len(f.Body), f.Flags)
		}
		p.send(t, wire.Header{BodyLen: limit + 1, Cmd: wire.Request, MethodLen: 5, Seq: 2}.Append(nil))
		assertTold(t, door, p.end(t), ws.CloseTooBig, "bad frame: body_too_long: 1001, limit 1000")
		h.expectEnd(t, "body_too_long")
	})
}

// TestBadFramesEndTheConnectionWithAReason, on both doors, and a WebSocket is
// told it.
func TestBadFramesEndTheConnectionWithAReason(t *testing.T) {
	for name, c := range map[string]struct {
		frame  []byte
		code   int
		reason string
	}{
		"method longer than its frame": {wire.Header{BodyLen: 1, Cmd: wire.Request, MethodLen: 2}.Append(nil), ws.CloseProtocol, "method_overrun"},
		"no method":                    {wire.Header{Cmd: wire.Notify}.Append(nil), ws.CloseProtocol, "method_missing"},
		"ping with a method":           {wire.Header{BodyLen: 1, Cmd: wire.Ping, MethodLen: 1}.Append(nil), ws.CloseProtocol, "method_unexpected"},
		"structured without error":     {wire.Append(nil, wire.Header{Cmd: wire.Request, Flags: wire.Structured}, "/echo", nil), ws.CloseProtocol, "flags_invalid"},
		"method not UTF-8":             {wire.Append(nil, wire.Header{Cmd: wire.Request}, "\xff", nil), ws.CloseProtocol, "method_not_utf8"},
		"a coder nobody installed":     {wire.Header{Coders: 1 << 7, Cmd: wire.Request}.Append(nil), ws.CloseProtocol, "coder_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			eachDoor(t, nil, func(t *testing.T, h *house, door string) {
				p := h.knock(t, door)
				p.send(t, c.frame)
				end := p.end(t)
				h.expectEnd(t, c.reason)
				if door == "tcp" {
					return
				}
				var closed *ws.CloseError
				if !errors.As(end, &closed) || !strings.Contains(closed.Reason, c.reason) || closed.Code != c.code {
					t.Errorf("the peer was told %v, want %d %q", end, c.code, c.reason)
				}
			})
		})
	}
}

// TestAWebSocketIsClosedOnce, with the code of RFC 6455: nothing may follow a
// close frame, another one neither.
func TestAWebSocketIsClosedOnce(t *testing.T) {
	const big = 1 << 20
	for name, c := range map[string]struct {
		frame []byte // a client's, mask 0
		code  uint16
	}{
		"text":        {[]byte{0x81, 0x80, 0, 0, 0, 0}, ws.CloseUnsupported},
		"unmasked":    {[]byte{0x82, 0x00}, ws.CloseProtocol},
		"RSV1":        {[]byte{0xc2, 0x80, 0, 0, 0, 0}, ws.CloseProtocol},
		"bad opcode":  {[]byte{0x83, 0x80, 0, 0, 0, 0}, ws.CloseProtocol},
		"long ping":   {append([]byte{0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...), ws.CloseProtocol},
		"too big":     {append([]byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 100)...), ws.CloseTooBig},
		"top bit":     {[]byte{0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ws.CloseTooBig},
		"going away":  {[]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9}, ws.CloseGoingAway}, // echoed
		"bare close":  {[]byte{0x88, 0x80, 0, 0, 0, 0}, 0},                             // echoed
		"a bad frame": {append([]byte{0x82, 0x80 | 16, 0, 0, 0, 0}, wire.Header{Cmd: wire.Notify}.Append(nil)...), ws.CloseProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, limits(arpc.Limits{WebSocketBody: big}))
			socket := h.knock(t, "websocket").below()
			if _, err := socket.Write(c.frame); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(socket)
			if err != nil && !errors.Is(err, net.ErrClosed) && len(all) == 0 {
				t.Fatal(err)
			}
			if len(all) < 2 || all[0] != 0x88 || int(all[1]) != len(all)-2 {
				t.Fatalf("want one close frame and nothing else, got %x: %q", all, all)
			}
			var code uint16
			if len(all) >= 4 {
				code = binary.BigEndian.Uint16(all[2:])
			}
			if code != c.code {
				t.Errorf("code %d, want %d", code, c.code)
			}
		})
	}
}

// TestEndlessFragmentsEndTheConnection: 300,000 of them are one message that is
// never whole and never too big.
func TestEndlessFragmentsEndTheConnection(t *testing.T) {
	h := open(t, nil)
	socket := h.knock(t, "websocket").below()
	attack := append([]byte{0x02, 0x81, 0, 0, 0, 0, 'x'}, []byte(strings.Repeat("\x00\x80\x00\x00\x00\x00", 300_000))...)
	before := heap()
	_, _ = socket.Write(attack) // fails when the server closes
	h.expectEnd(t, "too many fragments")
	arpctest.Eventually(t, "memory given back", func() bool { return heap()-before < 1<<20 })
}
