package e2e_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// publication is the body of the topics' routes: data, name, length of the name
// as u16, time in nanoseconds as i64.
func publication(topic, data string, at time.Time) string {
	b := append([]byte(data), topic...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(topic)))
	return string(binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano())))
}

// succeed makes a request whose answer is a success without a body.
func (p *peer) succeed(seq uint64, method, body string) {
	p.t.Helper()
	if got := p.call(seq, method, body); got.Flags != 0 || len(got.Body) != 0 {
		p.t.Fatalf("%s was answered with %v", method, got)
	}
}

// hear reads a publication, as a peer of the base protocol does: flag bits 2 to
// 7 are none of its business.
func (p *peer) hear(topic, data string, offset uint64) {
	p.t.Helper()
	got := p.read()
	if got.Cmd != rawframe.CmdNotify || got.Method != "in_P" || got.Flags&(rawframe.FlagError|rawframe.FlagAsync) != 0 {
		p.t.Fatalf("got %v, want publication %q", got, data)
	}
	p.checkPublication(got, topic, data, offset)
}

func (p *peer) checkPublication(got rawframe.Frame, topic, data string, offset uint64) {
	p.t.Helper()
	front := data + topic + string(binary.LittleEndian.AppendUint16(nil, uint16(len(topic))))
	if len(got.Body) != len(front)+8 || !strings.HasPrefix(got.Body, front) {
		p.t.Fatalf("body %q, want %q and a time", got.Body, front)
	}
	at := time.Unix(0, int64(binary.LittleEndian.Uint64([]byte(got.Body[len(front):]))))
	if age := time.Since(at); age < 0 || age > time.Hour {
		p.t.Errorf("published at %v", at)
	}
	if got.Seq != offset {
		p.t.Errorf("offset %d, want %d", got.Seq, offset)
	}
}

// TestBothDoorsMeetInOneTopic, in the base protocol: each publishes, both hear
// it, once and in order.
func TestBothDoorsMeetInOneTopic(t *testing.T) {
	d := start(t)
	const topic = "räume/1"
	service, page := d.connect(t, "tcp"), d.connect(t, "websocket")
	both := []*peer{service, page}
	for _, p := range both {
		p.succeed(1, "in_A", "any password, it is open")
		p.succeed(2, "in_S", publication(topic, "", time.Now()))
	}
	var offset uint64
	for i, text := range texts {
		publisher, listener := both[i%2], both[(i+1)%2]
		offset++
		publisher.write(rawframe.Request(0, 100+offset, "in_P", publication(topic, text, time.Now())))
		answer, own := publisher.read(), publisher.read() // in either order
		if answer.Cmd == rawframe.CmdNotify {
			answer, own = own, answer
		}
		if want := rawframe.Response(0, 100+offset, "in_P", ""); answer != want {
			t.Fatalf("publishing was answered with %v", answer)
		}
		publisher.checkPublication(own, topic, text, offset)
		listener.hear(topic, text, offset)
	}
	service.write(rawframe.Notify(rawframe.FlagAsync, 0, "in_P", publication(topic, "as a notify", time.Now())))
	for _, p := range both {
		p.hear(topic, "as a notify", offset+1)
	}
	for seq := uint64(3); seq < 9; seq++ { // to one, in turn
		service.write(rawframe.Notify(0, seq, "in_P1", publication(topic, fmt.Sprint("job ", seq), time.Now())))
		both[(seq-3)%2].hear(topic, fmt.Sprint("job ", seq), 0)
	}

	page.succeed(10, "in_U", publication(topic, "", time.Now()))
	service.write(rawframe.Request(0, 11, "in_P", publication(topic, "after it", time.Now())))
	answered, heard := service.read(), service.read()
	if answered.Cmd == heard.Cmd {
		t.Fatalf("got %v and %v", answered, heard)
	}
	if got := page.call(12, "/echo", "nothing before this"); got.Body != "nothing before this" {
		t.Errorf("after unsubscribing came %v", got)
	}
	page.succeed(13, "in_P", publication("another topic", "to nobody", time.Now()))
	if got := service.call(14, "/echo", "nor this"); got.Body != "nor this" {
		t.Errorf("of another topic came %v", got)
	}
}

func TestTopicsBehindAPassword(t *testing.T) {
	d := start(t, "-password", "123qwe")
	refusal := func(p *peer, seq uint64, method, body, want string) {
		t.Helper()
		if got := p.call(seq, method, body); got.Flags != rawframe.FlagError || got.Body != want {
			t.Errorf("%s was answered with %v, want %q", method, got, want)
		}
	}
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			p := d.connect(t, door)
			for i, method := range []string{"in_S", "in_U", "in_P", "in_P1"} {
				refusal(p, uint64(i), method, publication("news", "x", time.Now()), "not authenticated")
			}
			for i, wrong := range []string{"", "123qw", "123qwe ", "123QWE"} {
				refusal(p, uint64(10+i), "in_A", wrong, "wrong password")
			}
			p.succeed(20, "in_A", "123qwe")
			p.succeed(21, "in_S", publication("news", "", time.Now()))
			p.write(rawframe.Notify(0, 0, "in_P", publication("news", "let in", time.Now())))
			if got := p.read(); got.Method != "in_P" || !strings.HasPrefix(got.Body, "let innews") {
				t.Errorf("heard %v", got)
			}
			if got := p.call(30, "/echo", "needs none"); got.Body != "needs none" {
				t.Errorf("echo %v", got)
			}
		})
	}
}

func TestBadPublicationsAreAnswered(t *testing.T) {
	d := start(t)
	for _, door := range doors {
		t.Run(door, func(t *testing.T) {
			p := d.connect(t, door)
			for i, body := range []string{"", "123456789", "1234567890", "data\xff\xff12345678", publication("", "no name", time.Now())} {
				for j, method := range []string{"in_S", "in_U", "in_P", "in_P1"} {
					if got := p.call(uint64(10*i+j), method, body); got.Flags != rawframe.FlagError || len(got.Body) == 0 {
						t.Errorf("%s %q was answered with %v", method, body, got)
					}
				}
			}
		})
	}
}
