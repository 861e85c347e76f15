package trace_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/coder/trace"
	"github.com/seed-fbfaa03e/arpc/wire"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func frame(cmd wire.Cmd, body string) []byte {
	return wire.Append(nil, wire.Header{Cmd: cmd, Seq: 7}, "/m", []byte(body))
}

func traced(t testing.TB, f []byte) []byte {
	t.Helper()
	out, err := trace.New().EncodeContext(trace.With(context.Background(), parent), nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFramesComeBackWithTheirTrace(t *testing.T) {
	for _, body := range []string{"", "hello", strings.Repeat("x", 1<<20)} {
		want := frame(wire.Request, body)
		mine := bytes.Clone(want)
		out, err := trace.New().EncodeContext(trace.With(context.Background(), parent), []byte("before"), want)
		if err != nil || !bytes.Equal(mine, want) {
			t.Fatalf("in place, or %v", err)
		}
		got, key, value, err := trace.New().DecodeContext([]byte("before"), out[len("before"):], wire.MaxBody)
		if err != nil || !bytes.Equal(got[len("before"):], want) || key == nil || value != parent {
			t.Errorf("%d bytes: %v, trace %v", len(body), err, value)
		}
	}
}

func TestBytesAreThoseOfTheRule(t *testing.T) {
	want := frame(wire.Notify, "hi")
	theirs := append(bytes.Clone(want), "traceparent"+parent+"\x00\x44"...)
	theirs[4] = 1
	wire.Finish(theirs)
	if got := traced(t, want); !bytes.Equal(got, theirs) {
		t.Errorf("got\n%s, want\n%s", hex.EncodeToString(got), hex.EncodeToString(theirs))
	}
}

func TestWhatHasNoTraceStaysAsItIs(t *testing.T) {
	c := trace.New()
	for name, tt := range map[string]struct {
		cmd    wire.Cmd
		parent string
	}{
		"an answer":       {wire.Response, parent},
		"a stream's":      {wire.Stream, parent},
		"no trace":        {wire.Request, ""},
		"no traceparent":  {wire.Request, strings.Repeat("x", trace.Len)},
		"another version": {wire.Request, "ff" + parent[2:]},
		"too long":        {wire.Request, parent + "0"},
	} {
		f := frame(tt.cmd, "body")
		out, err := c.EncodeContext(trace.With(context.Background(), tt.parent), nil, f)
		if err != nil || !bytes.Equal(out, f) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostileFramesAreRefused(t *testing.T) {
	good := traced(t, frame(wire.Request, "body"))
	bare := wire.Append(nil, wire.Header{Cmd: wire.Request, Coders: 1}, "", nil)
	long := bytes.Clone(good)
	long[len(long)-2] = 0xff
	other := bytes.Clone(good)
	other[len(other)-68] = 'T'
	for name, bad := range map[string][]byte{
		"no bit":                       frame(wire.Request, "traceparent"),
		"short":                        good[:10],
		"no body":                      bare,
		"longer than the frame":        long,
		"another name":                 other,
		"a length of nothing":          append(bytes.Clone(good), 0, 0),
		"a length less than its field": append(bytes.Clone(good), 0, 1),
	} {
		if got, key, _, err := trace.New().DecodeContext([]byte("before"), bad, wire.MaxBody); err == nil || key != nil || string(got) != "before" {
			t.Errorf("%s: taken", name)
		}
	}
	var tooLong *wire.FrameError
	if _, err := trace.New().Decode(nil, good, 5); !errors.As(err, &tooLong) {
		t.Errorf("over the limit: %v", err)
	}
}

// Who sends text that is no trace is heard, without it.
func TestTraceThatIsNoneIsDropped(t *testing.T) {
	f := frame(wire.Request, "body")
	out := append(bytes.Clone(f), "traceparentnonsense\x00\x15"...)
	out[4] = 1
	wire.Finish(out)
	got, key, _, err := trace.New().DecodeContext(nil, out, wire.MaxBody)
	if err != nil || key != nil || !bytes.Equal(got, f) {
		t.Errorf("%v, key %v", err, key)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(traced(f, frame(wire.Request, "")))
	f.Add(traced(f, frame(wire.Notify, "body")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := trace.New().Decode(nil, raw, 4096)
		if err == nil && (len(got) > wire.HeaderLen+4096 || len(got) < wire.HeaderLen || got[4]&trace.Bit != 0) {
			t.Errorf("%x", got)
		}
	})
}

func ExampleNew() {
	far, near := arpc.NewHandler(), arpc.NewHandler()
	for _, h := range []*arpc.Handler{far, near} {
		h.UseCoder(trace.New())
	}
	far.Handle("/order", func(ctx *arpc.Context) { _ = ctx.Write(trace.Parent(ctx)) })

	c, err := arpc.NewClient(func() (net.Conn, error) {
		a, b := net.Pipe()
		far.ServeConn(b, arpc.Accepted{})
		return a, nil
	}, arpc.WithHandler(near))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { c.Stop(); <-c.Done() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	ctx = trace.With(ctx, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	var seen string
	fmt.Println(c.CallWith(ctx, "/order", nil, &seen), seen)
	// Output: <nil> 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
}
