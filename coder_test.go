package arpc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/coder/aead"
	"github.com/seed-fbfaa03e/arpc/coder/gzip"
	"github.com/seed-fbfaa03e/arpc/coder/trace"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
)

const flipBit = 1 << 3

// flip is a coder that turns the bits of all that is behind the coders' byte, and
// counts what it does.
type flip struct {
	always           bool
	encoded, decoded atomic.Int64
	fails            error
}

func (f *flip) Name() string { return "flip" }
func (f *flip) Bit() byte    { return flipBit }
func (f *flip) Always() bool { return f.always }

func (f *flip) Encode(dst, frame []byte) ([]byte, error) {
	f.encoded.Add(1)
	return f.turn(dst, frame), f.fails
}

func (f *flip) Decode(dst, frame []byte, _ int) ([]byte, error) {
	f.decoded.Add(1)
	return f.turn(dst, frame), f.fails
}

func (f *flip) turn(dst, frame []byte) []byte {
	start := len(dst)
	dst = append(dst, frame...)
	dst[start+4] ^= flipBit
	for i := range dst[start+5:] {
		dst[start+5+i] ^= 0xff
	}
	return dst
}

// plain is a frame as it was before flip, if it was flipped.
func plain(t testing.TB, f wire.Frame) (frame wire.Frame, flipped bool) {
	t.Helper()
	if f.Coders == 0 {
		return f, false
	}
	f, err := wire.Split((&flip{}).turn(nil, f.Raw))
	if err != nil {
		t.Fatal(err)
	}
	return f, true
}

func encryption(t testing.TB) *aead.Coder {
	t.Helper()
	c, err := aead.New(bytes.Repeat([]byte{7}, aead.KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// coded is a handler with every coder of the box, in their order.
func coded(t testing.TB) *arpc.Handler {
	h := arpc.NewHandler()
	h.UseCoder(trace.New())
	h.UseCoder(gzip.New(64))
	h.UseCoder(encryption(t))
	return h
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestCodersOnEveryTransport(t *testing.T) {
	long := strings.Repeat("again and ", 10_000)
	for _, tr := range arpctest.Transports {
		for name, hello := range map[string]arpc.HelloMode{"extended": arpc.HelloRequire, "base": arpc.HelloNever} {
			t.Run(tr.Name+"/"+name, func(t *testing.T) {
				dialing, accepting := coded(t), coded(t)
				noted := make(chan string, 1)
				for _, h := range []*arpc.Handler{dialing, accepting} {
					h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
					h.Handle("/inline", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) }, arpc.Inline)
					h.Handle("/traced", func(ctx *arpc.Context) { _ = ctx.Write(trace.Parent(ctx)) })
					h.Handle("/note", func(ctx *arpc.Context) { noted <- string(ctx.Body()) })
					h.HandleStream("/stream", func(s *arpc.Stream) {
						var body string
						_ = s.Recv(&body)
						_ = s.SendAndClose(body)
					})
				}
				dialed, accepted := tr.Connect(t, dialing, accepting, arpc.WithHello(hello))
				for _, c := range []*arpc.Client{dialed, accepted} {
					for _, body := range []string{"", "short", long} {
						for _, method := range []string{"/echo", "/inline"} {
							var back string
							if err := c.Call(method, body, &back, arpctest.Wait); err != nil || back != body {
								t.Fatalf("%s of %d bytes: %d, %v", method, len(body), len(back), err)
							}
						}
					}
					m, err := c.Handler.NewMessage(arpc.CmdNotify, "/note", "pushed")
					if err != nil {
						t.Fatal(err)
					}
					if err := c.PushMsg(m, arpctest.Wait); err != nil || arpctest.Receive(t, noted, "note") != "pushed" {
						t.Errorf("push: %v", err)
					}
					s := c.NewStream("/stream")
					var back string
					if err := errors.Join(s.Send(long), s.Recv(&back)); err != nil || back != long {
						t.Errorf("stream: %d bytes, %v", len(back), err)
					}
					s.Close()
				}
				var traced string
				err := dialed.CallWith(trace.With(context.Background(), parent), "/traced", nil, &traced)
				if want := map[string]string{"extended": parent}[name]; err != nil || traced != want {
					t.Errorf("trace %q, %v", traced, err)
				}
			})
		}
	}
}

func greetWith(coders string) string {
	return strings.Replace(ourHello, `"coders":[]`, `"coders":`+coders, 1)
}

func TestCoderIsUsedWhereBothListIt(t *testing.T) {
	for name, c := range map[string]struct {
		coders string
		agreed []string
	}{
		"listed":     {`["flip","other"]`, []string{"flip"}},
		"not listed": {`["other"]`, []string{}},
		"none":       {`[]`, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := arpc.NewHandler()
			h.UseCoder(&flip{})
			h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
			p, _ := serveRaw(t, h)
			p.send(wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: 1}, "arpc.hello", greetWith(c.coders))
			f, _ := p.next()
			var answer struct{ Coders []string }
			if err := json.Unmarshal(f.Body, &answer); err != nil || f.Coders != 0 || !slices.Equal(answer.Coders, c.agreed) {
				t.Fatalf("coders %d, answer %s, %v", f.Coders, f.Body, err)
			}
			p.send(wire.Header{Cmd: wire.Request, Seq: 2}, "/echo", "in plain")
			f, _ = p.next()
			if f, flipped := plain(t, f); flipped != (len(c.agreed) > 0) || string(f.Body) != "in plain" {
				t.Errorf("flipped %v, body %q", flipped, f.Body)
			}
			p.send(wire.Header{Cmd: wire.Ping, Seq: 3}, "", "")
			if f, _ := p.next(); f.Coders != 0 || f.Cmd != wire.Pong || f.Seq != 3 {
				t.Errorf("pong %+v", f.Header)
			}
		})
	}
}

// onlyAgreed is flip for peers that list it.
type onlyAgreed struct{ *flip }

func (onlyAgreed) AgreedOnly() bool { return true }

func TestCoderTowardsBasePeers(t *testing.T) {
	for name, c := range map[string]struct {
		coder arpc.Coder
		used  bool
	}{"as installed": {&flip{}, true}, "where agreed only": {onlyAgreed{&flip{}}, false}} {
		t.Run(name, func(t *testing.T) {
			h := arpc.NewHandler()
			h.UseCoder(c.coder)
			h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
			p, _ := serveRaw(t, h)
			p.send(wire.Header{Cmd: wire.Request, Seq: 2}, "/echo", "hi")
			f, _ := p.next()
			if f, used := plain(t, f); used != c.used || string(f.Body) != "hi" {
				t.Errorf("used %v, %q", used, f.Body)
			}
		})
	}
}

func TestCoderThatIsAlwaysUsed(t *testing.T) {
	h := arpc.NewHandler()
	h.UseCoder(&flip{always: true})
	p, _ := serveRaw(t, h)
	hello := wire.Append(nil, wire.Header{Cmd: wire.Request, Flags: wire.Outside, Seq: 1}, "arpc.hello", []byte(ourHello))
	if _, err := p.conn.Write((&flip{}).turn(nil, hello)); err != nil {
		t.Fatal(err)
	}
	f, _ := p.next()
	if f, coded := plain(t, f); !coded || string(f.Method) != "arpc.hello" {
		t.Fatalf("coded %v, %q", coded, f.Method)
	}
}

// ended serves a peer that sends bytes and returns why the connection ended.
func ended(t *testing.T, h *arpc.Handler, bytes []byte) error {
	t.Helper()
	why := make(chan error, 1)
	h.HandleDisconnected(func(_ *arpc.Client, err error) { why <- err })
	p, _ := serveRaw(t, h)
	_, _ = p.conn.Write(bytes) // fails if the connection ends before all of it was read
	return arpctest.Receive(t, why, "the end of the connection")
}

func TestFramesThatCodersDoNotTakeEndTheConnection(t *testing.T) {
	note := wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/n", []byte("x"))
	unknown := bytes.Clone(note)
	unknown[4] = 1 << 5
	bomb, err := gzip.New(0).Encode(nil, wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/n", make([]byte, 16<<20)))
	if err != nil {
		t.Fatal(err)
	}
	garbage := append(bytes.Clone(note[:4]), gzip.Bit)
	garbage = append(garbage, note[5:]...)
	for name, c := range map[string]struct {
		coder arpc.Coder
		sends []byte
		says  string
	}{
		"a bit nobody has":          {&flip{}, unknown, "coder_unknown"},
		"no bit where it has to be": {&flip{always: true}, note, "coders 8 missing"},
		"not encrypted":             {encryption(t), note, "coders 64 missing"},
		"too long when decoded":     {gzip.New(0), bomb, "body_too_long"},
		"what is no gzip":           {gzip.New(0), garbage, "decompress"},
		"what the coder refuses":    {&flip{fails: errors.New("not that")}, (&flip{}).turn(nil, note), "not that"},
		"too long in plain": {
			&flip{}, wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/n", make([]byte, 1<<20)), "body_too_long",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := arpc.NewHandler()
			h.SetLimits(arpc.Limits{Body: 1 << 20})
			h.UseCoder(c.coder)
			h.Handle("/n", func(*arpc.Context) { t.Error("handled") })
			err := ended(t, h, c.sends)
			if err == nil || !strings.Contains(err.Error(), c.says) || arpc.CloseReason(err) != arpc.ClosedByFrame {
				t.Errorf("%v, counted as %q", err, arpc.CloseReason(err))
			}
		})
	}
}

// What coders add does not count against the limit, what they take away does.
func TestLimitHoldsBeforeCodersAndAfter(t *testing.T) {
	const limit = 100_000
	far, near := arpc.NewHandler(), arpc.NewHandler()
	far.SetLimits(arpc.Limits{Body: limit})
	for _, h := range []*arpc.Handler{near, far} {
		h.UseCoder(trace.New())
		h.UseCoder(gzip.New(0))
		h.UseCoder(encryption(t))
	}
	far.Handle("/len", func(ctx *arpc.Context) { _ = ctx.Write(len(ctx.Body())) })
	c, _ := arpctest.Transports[1].Connect(t, near, far)
	var n int
	incompressible := make([]byte, limit-len("/len"))
	_, _ = rand.Read(incompressible) // never fails
	for _, body := range [][]byte{incompressible, make([]byte, len(incompressible))} {
		ctx := trace.With(context.Background(), parent)
		if err := c.CallWith(ctx, "/len", body, &n); err != nil || n != len(body) {
			t.Errorf("%d, %v", n, err)
		}
	}
	if err := c.Call("/len", make([]byte, limit), nil, arpctest.Wait); arpc.CodeOf(err) != arpc.CodeResourceExhausted {
		t.Errorf("over it: %v", err)
	}
}

func TestMessageIsCodedOnceAndNotInPlace(t *testing.T) {
	const peers = 5
	counted := &flip{}
	h := arpc.NewHandler()
	h.SetLimits(arpc.Limits{Grace: -1}) // so that no confirm is coded too
	h.UseCoder(counted)
	h.Handle("/ready", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	m, err := h.NewMessage(arpc.CmdNotify, "/n", "to all")
	if err != nil {
		t.Fatal(err)
	}
	was := bytes.Clone(m.Frame())
	noted := make(chan string, 1)
	for range peers {
		near := arpc.NewHandler()
		near.UseCoder(&flip{})
		near.Handle("/n", func(ctx *arpc.Context) { noted <- string(ctx.Body()) })
		dialed, accepted := arpctest.Transports[1].Connect(t, near, h)
		if err := dialed.Call("/ready", nil, nil, arpctest.Wait); err != nil { // now both use it
			t.Fatal(err)
		}
		if err := accepted.PushMsg(m, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		if got := arpctest.Receive(t, noted, "note"); got != "to all" {
			t.Errorf("got %q", got)
		}
	}
	if n := counted.encoded.Load(); n != peers+1 { // the answers, and the message
		t.Errorf("%d frames coded, want %d", n, peers+1)
	}
	if !bytes.Equal(m.Frame(), was) {
		t.Error("changed in place")
	}
}

func TestFrameThatCannotBeCodedEndsTheConnection(t *testing.T) {
	broken := errors.New("no key any more")
	near, far := arpc.NewHandler(), arpc.NewHandler()
	near.SetLimits(arpc.Limits{Grace: -1}) // so that no confirm is coded meanwhile
	failing := &flip{}
	near.UseCoder(failing)
	far.UseCoder(&flip{})
	c, _ := arpctest.Transports[1].Connect(t, near, far)
	ends := make(chan struct{})
	c.OnDisconnected(func(*arpc.Client) { close(ends) })
	failing.fails = broken
	if err := c.Call("/m", nil, nil, arpctest.Wait); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	arpctest.Closed(t, ends, "connection")
}

// notes is a source of numbered notifies.
type notes struct {
	client *arpc.Client
	frames [][]byte
}

func newNotes(c *arpc.Client, n int) *notes {
	s := &notes{client: c}
	for i := range n {
		h := wire.Header{Cmd: wire.Notify, Flags: wire.Outside.WithKind(wire.Text)}
		s.frames = append(s.frames, wire.Append(nil, h, "/note", fmt.Append(nil, i)))
	}
	return s
}

func (s *notes) Client() *arpc.Client { return s.client }

func (s *notes) Fill(w *arpc.FrameWriter) (more bool) {
	for len(s.frames) > 0 && w.Room() > 0 {
		w.AppendShared(s.frames[0])
		s.frames = s.frames[1:]
	}
	return len(s.frames) > 0
}

func TestSourceThatCannotBeCodedEndsTheConnection(t *testing.T) {
	broken := errors.New("no key any more")
	near, far := arpc.NewHandler(), arpc.NewHandler()
	near.SetLimits(arpc.Limits{Grace: -1}) // so that no confirm is the first to fail
	near.UseCoder(&flip{})
	far.UseCoder(&flip{fails: broken})
	ended := make(chan error, 10)
	far.HandleDisconnected(func(_ *arpc.Client, err error) { ended <- err })
	_, accepted := arpctest.Transports[1].Connect(t, near, far)
	source := newNotes(accepted, 10)
	far.Wake(1, func(int) arpc.Sleeper { return source })
	if err := arpctest.Receive(t, ended, "end"); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestCoderOfTheSameNameTakesItsPlace(t *testing.T) {
	h := arpc.NewHandler()
	h.UseCoder(gzip.New(1))
	h.UseCoder(gzip.New(2))
	h.UseCoder(encryption(t))
	for name, c := range map[string]arpc.Coder{"its bit is another's": &flipped{8, "b"}, "no name": &flipped{16, ""}, "two bits": &flipped{48, "b"}} {
		t.Run(name, func(t *testing.T) {
			h := arpc.NewHandler()
			h.UseCoder(&flip{})
			defer func() {
				if recover() == nil {
					t.Error("taken")
				}
			}()
			h.UseCoder(c)
		})
	}
}

// flipped is flip with another bit and name.
type flipped struct {
	bit  byte
	name string
}

func (f *flipped) Name() string { return f.name }
func (f *flipped) Bit() byte    { return f.bit }

func (f *flipped) Encode(dst, frame []byte) ([]byte, error) { return append(dst, frame...), nil }

func (f *flipped) Decode(dst, frame []byte, _ int) ([]byte, error) { return append(dst, frame...), nil }
