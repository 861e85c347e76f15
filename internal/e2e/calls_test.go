package e2e_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// texts are bodies that break what counts characters for bytes, or takes text
// for something else.
var texts = []string{
	"", "x", "hello", "héllo 世界 🌍", "Ελλάδα, עברית, ไทย", "👩‍👩‍👧‍👦", "\u0000\u0001\u007f", "\ufeffBOM", "a\r\nb\tc",
	"123", "null", "true", `"quoted"`, `{"a":7,"b":"x"}`, "[]", "  ", "\xff\xfe not UTF-8",
}

// seqs are numbers that are cut short where a seq is not 64 bits.
func seqOf(i int) uint64 {
	switch i % 5 {
	case 0:
		return uint64(i)
	case 1:
		return 1<<32 + uint64(i)
	case 2:
		return 1<<53 + 1 + uint64(i)
	case 3:
		return 1<<64 - 1 - uint64(i)
	}
	return uint64(i) << 8
}

// routes that nobody has, short and long, and the names of routes cut or grown.
var missing = []string{"/missing", "x", "/é世🌍", "/ech", "/echo/", "/Echo", "constructor", strings.Repeat("m", 127)}

// caller makes one kind of call after the other and checks each answer.
type caller struct {
	*peer
	calls int
}

func (c *caller) seq() uint64 {
	c.calls++
	return seqOf(c.calls)
}

// echo is a request for an echo, and its answer.
func (c *caller) echo(flags byte, body string) (request, answer rawframe.Frame) {
	seq := c.seq()
	return rawframe.Request(flags, seq, "/echo", body), rawframe.Response(flags, seq, "/echo", body)
}

func (c *caller) one(flags byte, body string) {
	c.t.Helper()
	request, answer := c.echo(flags, body)
	c.write(request)
	c.expect("a call", answer)
}

func (c *caller) twoInOneWrite(text string) {
	c.t.Helper()
	first, answerToFirst := c.echo(0, text)
	second, answerToSecond := c.echo(0, "second of "+text)
	c.write(first, second)
	c.expectBoth(answerToFirst, answerToSecond)
}

func (c *caller) byteByByte(text string) {
	c.t.Helper()
	request, answer := c.echo(0, text)
	for _, b := range rawframe.Append(nil, request) {
		if _, err := c.Write([]byte{b}); err != nil {
			c.t.Fatal(err)
		}
	}
	c.expect("byte by byte", answer)
}

func (c *caller) unknownRoute(flags byte, method, body string) {
	c.t.Helper()
	seq := c.seq()
	c.write(rawframe.Request(flags, seq, method, body))
	c.expect("an unknown route", rawframe.Response(flags|rawframe.FlagError, seq, method, "method not found"))
}

func (c *caller) pingAndCall(text string) {
	c.t.Helper()
	request, answer := c.echo(0, text)
	c.write(rawframe.Frame{Cmd: rawframe.CmdPing, Seq: request.Seq + 1}, request)
	c.expectBoth(rawframe.Frame{Cmd: rawframe.CmdPong, Seq: request.Seq + 1}, answer)
}

// TestSixHundredCallsInARow over each door: every kind of call in turn, and
// every answer right. The peer speaks the base protocol, so nothing that it
// does not know may come back.
func TestSixHundredCallsInARow(t *testing.T) {
	d := start(t)
	large := strings.Repeat("0123456789 héllo ", 12_000)[:200_000]
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			c := &caller{peer: d.connect(t, door)}
			for i := 0; c.calls < 600; i++ {
				_ = c.SetDeadline(time.Now().Add(patience))
				text := texts[i%len(texts)]
				switch i % 7 {
				case 0:
					c.one(0, text)
				case 1:
					c.one(rawframe.FlagAsync, text)
				case 2:
					c.twoInOneWrite(text)
				case 3:
					c.byteByByte(text)
				case 4:
					c.unknownRoute(byte(i)&rawframe.FlagAsync, missing[i%len(missing)], text)
				case 5:
					c.pingAndCall(text)
				case 6:
					c.one(0, large[i:])
				}
			}
		})
	}
}

// expectBoth reads two frames, in either order.
func (p *peer) expectBoth(one, other rawframe.Frame) {
	p.t.Helper()
	first, second := p.read(), p.read()
	if first == other {
		first, second = second, first
	}
	if first != one || second != other {
		p.t.Fatalf("got %v and %v, want %v and %v", first, second, one, other)
	}
}

// TestManyCallsInOneWrite, and their answers each once.
func TestManyCallsInOneWrite(t *testing.T) {
	d := start(t)
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			p := d.connect(t, door)
			var all []rawframe.Frame
			want := map[uint64]string{}
			for i := range 600 {
				body := fmt.Sprint(i, texts[i%len(texts)])
				all = append(all, rawframe.Request(0, uint64(i), "/echo", body))
				want[uint64(i)] = body
			}
			p.write(all...)
			for range all {
				got := p.read()
				if body, ok := want[got.Seq]; !ok || got.Body != body || got.Cmd != rawframe.CmdResponse || got.Flags != 0 {
					t.Fatalf("got %v, want %q, asked and open: %v", got, body, ok)
				}
				delete(want, got.Seq)
			}
		})
	}
}

// TestEchoKeepsTheKindOfABody: bits 4 and 5 of the flags, which originals ignore.
func TestEchoKeepsTheKindOfABody(t *testing.T) {
	d := start(t)
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			p := d.connect(t, door)
			for kind := range byte(4) {
				for i, text := range texts {
					seq := uint64(kind)<<32 | uint64(i)
					request := rawframe.Request(kind<<4, seq, "/echo", text)
					p.write(request)
					p.expect(fmt.Sprint("kind ", kind), rawframe.Response(kind<<4, seq, "/echo", text))
				}
			}
		})
	}
}

// TestFragmentsOfAWebSocketMessage are one message, wherever they are cut.
func TestFragmentsOfAWebSocketMessage(t *testing.T) {
	p := start(t).connect(t, "websocket")
	w := p.link.(*webSocket)
	request := rawframe.Request(0, 7, "/echo", "in fragments")
	opcode := byte(2)
	for _, b := range rawframe.Append(nil, request) {
		if err := w.send(opcode, []byte{b}); err != nil {
			t.Fatal(err)
		}
		if err := w.send(0x80|9, []byte("a ping between")); err != nil {
			t.Fatal(err)
		}
		opcode = 0
	}
	if err := w.send(0x80, nil); err != nil {
		t.Fatal(err)
	}
	p.expect("fragments", rawframe.Response(0, 7, "/echo", "in fragments"))
}

// TestNotifiesAreNotAnswered, known or not.
func TestNotifiesAreNotAnswered(t *testing.T) {
	d := start(t)
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			p := d.connect(t, door)
			for _, method := range []string{"/echo", "/missing"} {
				p.write(rawframe.Notify(rawframe.FlagAsync, 3, method, "x"))
			}
			p.write(rawframe.Request(0, 9, "/echo", "next"))
			p.expect("what comes next", rawframe.Response(0, 9, "/echo", "next"))
		})
	}
}

func TestBadFramesCloseTheConnection(t *testing.T) {
	d := start(t)
	for name, bytes := range map[string][]byte{
		"a length of 4 GiB":     {0xff, 0xff, 0xff, 0xff, 0, rawframe.CmdRequest, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0},
		"a method of 200 bytes": {0xff, 0, 0, 0, 0, rawframe.CmdRequest, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0},
		"a request for nothing": {0, 0, 0, 0, 0, rawframe.CmdRequest, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		for _, door := range doors {
			t.Run(name+" over "+door, func(t *testing.T) {
				p := d.connect(t, door)
				if _, err := p.Write(bytes); err != nil {
					t.Fatal(err)
				}
				if err := p.end(); err == nil || door == "tcp" && err != io.EOF {
					t.Errorf("ended with %v", err)
				}
				other := d.connect(t, door)
				if got := other.call(1, "/echo", "others go on"); got.Body != "others go on" {
					t.Errorf("got %v", got)
				}
			})
		}
	}
}
