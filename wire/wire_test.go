package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// vector is one line of testdata/vectors.tsv: frames recorded from the original.
type vector struct {
	label, direction string
	raw              []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 {
			t.Fatalf("vectors.tsv: %d fields in %q", len(fields), line)
		}
		raw, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatalf("vectors.tsv: %q: %v", fields[0], err)
		}
		all = append(all, vector{fields[0], fields[1], raw})
	}
	return all
}

// decodeAll feeds data in pieces of the given size and copies the frames out.
func decodeAll(d *wire.Decoder, data []byte, piece int) (frames []wire.Frame, err error) {
	for len(data) > 0 {
		n := copy(d.Buffer(), data[:min(piece, len(data))])
		d.Advance(n)
		data = data[n:]
		for {
			f, ok, err := d.Next()
			if err != nil {
				return frames, err
			}
			if !ok {
				break
			}
			frames = append(frames, cloned(f))
		}
	}
	return frames, nil
}

func cloned(f wire.Frame) wire.Frame {
	f.Method, f.Body, f.Raw = bytes.Clone(f.Method), bytes.Clone(f.Body), bytes.Clone(f.Raw)
	return f
}

func TestRecordedFramesAreReadAndWrittenByteForByte(t *testing.T) {
	for _, v := range vectors(t) {
		for _, piece := range []int{1, 7, len(v.raw)} {
			frames, err := decodeAll(wire.NewDecoder(wire.MaxBody), v.raw, piece)
			if err != nil || len(frames) == 0 {
				t.Fatalf("%s %s: %d frames, error %v", v.label, v.direction, len(frames), err)
			}
			var again []byte
			for _, f := range frames {
				again = wire.Append(again, f.Header, string(f.Method), f.Body)
			}
			if !bytes.Equal(again, v.raw) {
				t.Errorf("%s %s: wrote %x, recorded %x", v.label, v.direction, again, v.raw)
			}
		}
	}
}

func TestRecordedFieldsAreWhatTheLabelSays(t *testing.T) {
	want := map[string]struct {
		cmd    wire.Cmd
		flags  wire.Flags
		method string
		body   string
	}{
		"call /echo string hello c->s": {wire.Request, 0, "/echo", "hello"},
		"call /fail s->c":              {wire.Response, wire.Error, "/fail", "boom"},
		"callasync /echo s->c":         {wire.Response, wire.Async, "/echo", "async"},
		"notify /note c->s":            {wire.Notify, wire.Async, "/note", "n1"},
		"ping s->c":                    {wire.Pong, 0, "", ""},
	}
	seen := 0
	for _, v := range vectors(t) {
		w, ok := want[v.label+" "+v.direction]
		if !ok {
			continue
		}
		seen++
		f, err := wire.Split(v.raw)
		if err != nil {
			t.Fatalf("%s: %v", v.label, err)
		}
		if f.Cmd != w.cmd || f.Flags != w.flags || string(f.Method) != w.method || string(f.Body) != w.body {
			t.Errorf("%s: got %v %v %q %q", v.label, f.Cmd, f.Flags, f.Method, f.Body)
		}
	}
	if seen != len(want) {
		t.Errorf("found %d of %d labels", seen, len(want))
	}
}

func TestBadFramesAreRefusedBeforeTheirBodyIsAwaited(t *testing.T) {
	const limit = 1000
	header := func(bodyLen uint32, cmd wire.Cmd, flags wire.Flags, methodLen byte) []byte {
		return wire.Header{BodyLen: bodyLen, Cmd: cmd, Flags: flags, MethodLen: methodLen, Seq: 1}.Append(nil)
	}
	for name, c := range map[string]struct {
		in     []byte
		reason wire.Reason
	}{
		"one over the limit":           {header(limit+1, wire.Request, 0, 5), wire.BodyTooLong},
		"2 GiB":                        {header(1<<31, wire.Request, 0, 5), wire.BodyTooLong},
		"2^32-16":                      {header(1<<32-16, wire.Request, 0, 5), wire.BodyTooLong},
		"2^32-1":                       {header(1<<32-1, wire.Request, 0, 5), wire.BodyTooLong},
		"method longer than its frame": {header(4, wire.Request, 0, 5), wire.MethodOverrun},
		"method of 128":                {header(200, wire.Request, 0, 128), wire.MethodTooLong},
		"request without method":       {header(4, wire.Request, 0, 0), wire.MethodMissing},
		"stream without method":        {header(4, wire.Stream|wire.Opener, 0, 0), wire.MethodMissing},
		"ping with method":             {header(4, wire.Ping, 0, 4), wire.MethodUnexpected},
		"credit with method":           {header(8, wire.Credit, 0, 4), wire.MethodUnexpected},
		"structured without error":     {header(8, wire.Response, wire.Structured, 4), wire.FlagsInvalid},
		"method not UTF-8":             {wire.Append(nil, wire.Header{Cmd: wire.Notify}, "a\xffb", nil), wire.MethodNotUTF8},
	} {
		t.Run(name, func(t *testing.T) {
			d := wire.NewDecoder(limit)
			_, err := decodeAll(d, c.in, 3)
			var bad *wire.FrameError
			if !errors.As(err, &bad) || bad.Reason != c.reason {
				t.Fatalf("got %v, want %s", err, c.reason)
			}
			if _, _, again := d.Next(); again != err {
				t.Errorf("the error is not final: %v", again)
			}
		})
	}
}

func TestLegalEdges(t *testing.T) {
	long := strings.Repeat("m", wire.MaxMethodLen)
	for name, in := range map[string][]byte{
		"longest method":         wire.Append(nil, wire.Header{Cmd: wire.Request}, long, nil),
		"seq 2^64-1":             wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 1<<64 - 1}, "/a", nil),
		"unknown command":        wire.Append(nil, wire.Header{Cmd: 33}, "", []byte("x")),
		"ping":                   wire.Append(nil, wire.Header{Cmd: wire.Ping, Seq: 9}, "", nil),
		"error with code":        wire.Append(nil, wire.Header{Cmd: wire.Response, Flags: wire.Error | wire.Structured}, "/a", []byte("{}")),
		"body exactly the limit": wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/a", make([]byte, 998)),
	} {
		frames, err := decodeAll(wire.NewDecoder(1000), in, 5)
		if err != nil || len(frames) != 1 || !bytes.Equal(frames[0].Raw, in) {
			t.Errorf("%s: %d frames, error %v", name, len(frames), err)
		}
	}
}

func TestACodedFrameIsHandedOverWhole(t *testing.T) {
	raw := wire.Append(nil, wire.Header{Coders: 1 << 7, Cmd: 0x1f, Flags: 0x8b}, "", []byte("opaque"))
	raw[7] = 200 // what a coder made of methodLen means nothing before it is undone
	frames, err := decodeAll(wire.NewDecoder(100), raw, 4)
	if err != nil || len(frames) != 1 {
		t.Fatalf("%d frames, error %v", len(frames), err)
	}
	if f := frames[0]; !bytes.Equal(f.Raw, raw) || f.Method != nil || f.Body != nil {
		t.Errorf("got %+v", f)
	}
}

func TestABodyEncodedInPlace(t *testing.T) {
	h := wire.Header{Cmd: wire.Request, Seq: 7, Flags: wire.Flags(0).WithKind(wire.Text)}
	frame := wire.Begin([]byte("before"), h, "/m")
	frame = append(frame, "body"...)
	wire.Finish(frame[len("before"):])
	wire.SetSeq(frame[len("before"):], 8)
	h.Seq = 8
	if want := wire.Append([]byte("before"), h, "/m", []byte("body")); !bytes.Equal(frame, want) {
		t.Errorf("got %x, want %x", frame, want)
	}
	if k := h.Flags.Kind(); k != wire.Text {
		t.Errorf("kind %d", k)
	}
}

func TestSplitRefusesATruncatedFrame(t *testing.T) {
	raw := wire.Append(nil, wire.Header{Cmd: wire.Request}, "/m", []byte("body"))
	for n := range raw {
		if _, err := wire.Split(raw[:n]); err == nil {
			t.Errorf("%d of %d bytes were accepted", n, len(raw))
		}
	}
	if _, err := wire.Split(append(raw, 0)); err == nil {
		t.Error("a byte too many was accepted")
	}
}

func TestCheckMethod(t *testing.T) {
	for method, ok := range map[string]bool{
		"/echo": true, "/é世": true, strings.Repeat("m", 127): true,
		"": false, strings.Repeat("m", 128): false, "\xff": false,
	} {
		if err := wire.CheckMethod(method); (err == nil) != ok {
			t.Errorf("%q: %v", method, err)
		}
	}
}

func TestAClaimOf64MiBAllocatesNothingAhead(t *testing.T) {
	d := wire.NewDecoder(wire.MaxBody)
	d.Advance(copy(d.Buffer(), wire.Header{BodyLen: wire.MaxBody, Cmd: wire.Request, MethodLen: 1}.Append(nil)))
	if _, ok, err := d.Next(); ok || err != nil {
		t.Fatalf("ok %v, error %v", ok, err)
	}
	if room := len(d.Buffer()); room > 8<<10 {
		t.Errorf("%d bytes of room after 16 bytes arrived", room)
	}
}

func TestReleaseKeepsUnreadBytes(t *testing.T) {
	d := wire.NewDecoder(100)
	frame := wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/n", []byte("x"))
	d.Advance(copy(d.Buffer(), frame[:10]))
	d.Release()
	d.Advance(copy(d.Buffer(), frame[10:]))
	if f, ok, err := d.Next(); !ok || err != nil || string(f.Body) != "x" {
		t.Fatalf("got %q %v %v", f.Body, ok, err)
	}
	d.Release()
	if d.Buffered() != 0 {
		t.Error("bytes left over")
	}
}

func TestBuffersFollowWhatIsRead(t *testing.T) {
	d := wire.NewDecoder(wire.MaxBody)
	frame := wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/n", make([]byte, 4078)) // 4 KiB
	read := func(data []byte) {
		room := d.Buffer()
		d.Advance(copy(room, data[:min(len(room), len(data))]))
		for _, ok, err := d.Next(); ok || err != nil; _, ok, err = d.Next() {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	size := func() int {
		d.Release()
		return len(d.Buffer())
	}
	small := size()
	for range 10 { // reads that fill all the room there is
		read(bytes.Repeat(frame, 32))
	}
	large := size()
	for range 10 {
		read(frame[:0])
		if after := size(); after != large {
			t.Fatalf("%d bytes after nothing, %d before", after, large)
		}
	}
	for range 100 {
		read(wire.Header{Cmd: wire.Ping}.Append(nil))
		d.Release()
	}
	if again := size(); small != 4<<10 || large != 128<<10 || again != small {
		t.Errorf("room of %d, then %d bytes, then %d", small, large, again)
	}
}
