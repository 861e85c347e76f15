package wire_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// FuzzDecoder holds what any bytes must satisfy: the same frames and the same
// verdict however the stream is split, memory that grows with what arrived,
// progress with every frame, and frames that encode to the bytes they came from.
func FuzzDecoder(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.raw, uint64(1))
	}
	f.Add(wire.Header{BodyLen: 1<<32 - 16, Cmd: wire.Request}.Append(nil), uint64(2))
	f.Add(wire.Append(nil, wire.Header{Coders: 1 << 7, Cmd: 0x1f}, "", []byte("coded")), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		whole, wholeErr := decodeSplit(t, data, func() int { return len(data) })
		random := rand.New(rand.NewPCG(seed, 0))
		split, splitErr := decodeSplit(t, data, func() int { return 1 + random.IntN(64) })
		if !bytes.Equal(whole, split) {
			t.Fatalf("split changed the frames: %x, %x", whole, split)
		}
		if (wholeErr == nil) != (splitErr == nil) || wholeErr != nil && wholeErr.Error() != splitErr.Error() {
			t.Fatalf("split changed the verdict: %v, %v", wholeErr, splitErr)
		}
		if !bytes.HasPrefix(data, whole) {
			t.Fatalf("frames %x are not what arrived %x", whole, data)
		}
	})
}

// decodeSplit feeds data in pieces and returns the accepted frames, encoded again.
func decodeSplit(t *testing.T, data []byte, piece func() int) (accepted []byte, err error) {
	d := wire.NewDecoder(1 << 16)
	received := 0
	for received < len(data) {
		room := d.Buffer()
		if len(room) == 0 {
			t.Fatal("no room to read into")
		}
		if held := len(room) + d.Buffered(); held > 2*received+4<<10 {
			t.Fatalf("holds %d bytes after %d arrived", held, received)
		}
		n := copy(room, data[received:min(len(data), received+piece())])
		d.Advance(n)
		received += n
		for {
			before := d.Buffered()
			frame, ok, err := d.Next()
			if err != nil {
				if !errors.As(err, new(*wire.FrameError)) {
					t.Fatalf("untyped error %v", err)
				}
				return accepted, err
			}
			if !ok {
				break
			}
			if before-d.Buffered() < wire.HeaderLen {
				t.Fatalf("a frame took %d bytes", before-d.Buffered())
			}
			if frame.Coders != 0 {
				accepted = append(accepted, frame.Raw...)
				continue
			}
			accepted = wire.Append(accepted, frame.Header, string(frame.Method), frame.Body)
		}
	}
	return accepted, nil
}
