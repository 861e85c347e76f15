package gzip_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc/coder/gzip"
	"github.com/seed-fbfaa03e/arpc/wire"
)

func frame(body string) []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Flags(0).WithKind(wire.Text), Seq: 7}
	return wire.Append(nil, h, "/news", []byte(body))
}

// coded is a frame as the rule has it, made without the coder.
func coded(head, rest []byte) []byte {
	var member bytes.Buffer
	w := stdgzip.NewWriter(&member)
	_, _ = w.Write(rest) // a buffer takes everything
	_ = w.Close()
	out := append(bytes.Clone(head[:5]), member.Bytes()...)
	out[4] |= 0x80
	binary.LittleEndian.PutUint32(out, uint32(len(out)-16))
	return out
}

func TestFramesComeBack(t *testing.T) {
	c := gzip.New(0)
	for _, n := range []int{0, 1, 100, 5000, 1 << 20} {
		want := frame(strings.Repeat("Ada ", n))
		mine := bytes.Clone(want)
		out, err := c.Encode([]byte("before"), want)
		if err != nil || !bytes.HasPrefix(out, []byte("before")) {
			t.Fatal(err)
		}
		if !bytes.Equal(mine, want) {
			t.Fatal("the frame was changed in place")
		}
		out = out[len("before"):]
		if h := wire.ParseHeader(out); int(h.BodyLen) != len(out)-wire.HeaderLen {
			t.Errorf("%d: length %d, it has %d", n, h.BodyLen, len(out)-wire.HeaderLen)
		}
		if out[4]&gzip.Bit == 0 {
			if !bytes.Equal(out, want) || n > 100 {
				t.Errorf("%d: not compressed", n)
			}
			continue
		}
		sent := bytes.Clone(out)
		got, err := c.Decode([]byte("before"), out, wire.MaxBody)
		if err != nil || !bytes.Equal(got[len("before"):], want) {
			t.Errorf("%d: %v", n, err)
		}
		if !bytes.Equal(sent, out) {
			t.Error("the coded frame was changed in place")
		}
	}
}

// The rule, from both sides: what stands behind byte 5 is one member of anybody's gzip.
func TestBytesAreThoseOfTheRule(t *testing.T) {
	want := frame(strings.Repeat("hello ", 100))
	theirs := coded(want, want[5:])
	got, err := gzip.New(0).Decode(nil, theirs, wire.MaxBody)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("theirs: %v", err)
	}
	ours, err := gzip.New(0).Encode(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	r, err := stdgzip.NewReader(bytes.NewReader(ours[5:]))
	if err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	if _, err := rest.ReadFrom(r); err != nil || !bytes.Equal(rest.Bytes(), want[5:]) {
		t.Errorf("ours: %v", err)
	}
}

func TestShortFramesStayAsTheyAre(t *testing.T) {
	f := frame(strings.Repeat("a", 200))
	for min, compressed := range map[int]bool{len(f): true, len(f) + 1: false} {
		out, err := gzip.New(min).Encode(nil, f)
		if err != nil || bytes.Equal(out, f) == compressed {
			t.Errorf("min %d: %v, %d bytes", min, err, len(out))
		}
	}
}

// 16 MiB of zeros are 16 KB on the wire: nothing over the limit is decompressed.
func TestBombIsBounded(t *testing.T) {
	const limit = 64 << 10
	bomb := coded(frame(""), append(frame("")[5:], make([]byte, 16<<20)...))
	c := gzip.New(0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Decode(nil, bomb, limit)
	runtime.ReadMemStats(&after)
	var tooLong *wire.FrameError
	if !errors.As(err, &tooLong) || tooLong.Reason != wire.BodyTooLong {
		t.Fatalf("got %v", err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8*limit {
		t.Errorf("%d bytes allocated, limit %d", allocated, limit)
	}
}

func TestLimitFromBothSides(t *testing.T) {
	f := frame(strings.Repeat("x", 1000))
	out, err := gzip.New(0).Encode(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	body := len(f) - wire.HeaderLen
	if _, err := gzip.New(0).Decode(nil, out, body); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := gzip.New(0).Decode(nil, out, body-1); err == nil {
		t.Error("over the limit: taken")
	}
}

func TestHostileFramesAreRefused(t *testing.T) {
	f := frame(strings.Repeat("hello ", 100))
	good := coded(f, f[5:])
	two := append(bytes.Clone(good), good[5:]...)
	wrong := bytes.Clone(good)
	wrong[len(wrong)-5] ^= 1 // in the checksum
	for name, bad := range map[string][]byte{
		"no bit":                   f,
		"short":                    good[:4],
		"no gzip":                  append(bytes.Clone(good[:5]), "hello, I am no gzip"...),
		"half a member":            good[:len(good)/2],
		"two members":              two,
		"a byte behind the member": append(bytes.Clone(good), 0),
		"a wrong checksum":         wrong,
		"no whole header":          coded(f, f[5:15]),
	} {
		if got, err := gzip.New(0).Decode([]byte("before"), bad, wire.MaxBody); err == nil || string(got) != "before" {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := gzip.New(0).Encode(nil, []byte("short")); err == nil {
		t.Error("it encoded what is no frame")
	}
}

// One frame goes to many: nobody compresses it in place.
func TestSharedFrameIsNotRaced(t *testing.T) {
	c := gzip.New(0)
	shared := frame(strings.Repeat("to all ", 1000))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				out, err := c.Encode(nil, shared)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := c.Decode(nil, out, wire.MaxBody); err != nil || !bytes.Equal(got, shared) {
					t.Errorf("it came back changed: %v", err)
				}
			}
		})
	}
	all.Wait()
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{0, 10, 1000} {
		raw := frame(strings.Repeat("fuzz ", n))
		f.Add(coded(raw, raw[5:]))
	}
	c := gzip.New(0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		const limit = 4096
		got, err := c.Decode(nil, raw, limit)
		if err != nil {
			return
		}
		if len(got) > wire.HeaderLen+limit || int(wire.ParseHeader(got).BodyLen) != len(got)-wire.HeaderLen || got[4]&gzip.Bit != 0 {
			t.Errorf("%d bytes: %x", len(got), got[:wire.HeaderLen])
		}
		again, err := c.Encode(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if again[4]&gzip.Bit != 0 {
			if back, err := c.Decode(nil, again, limit); err != nil || !bytes.Equal(back, got) {
				t.Errorf("there and back: %v", err)
			}
		}
	})
}

func ExampleCoder() {
	c := gzip.New(256) // shorter frames stay as they are
	f := wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/news", []byte(strings.Repeat("hello ", 100)))
	onTheWire, err := c.Encode(nil, f)
	fmt.Println(len(f), "bytes are", len(onTheWire) < len(f)/5, err)
	back, err := c.Decode(nil, onTheWire, wire.MaxBody)
	fmt.Println(bytes.Equal(back, f), err)
	// Output:
	// 621 bytes are true <nil>
	// true <nil>
}
