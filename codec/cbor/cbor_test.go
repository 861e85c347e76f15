package cbor_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec/cbor"
	"github.com/seed-fbfaa03e/arpc/internal/codectest"
)

type order struct {
	ID    uint64 `json:"id"`
	Image []byte `json:"image"`
}

func TestValuesComeBack(t *testing.T) {
	codectest.ComeBack(
		t, cbor.Codec,
		true, "Ada",
		[]byte{0, 255},
		int64(math.MinInt64), uint64(math.MaxUint64), 1.5,
		order{ID: math.MaxUint64, Image: []byte("png")},
		map[string]any{"a": uint64(1), "b": []any{"x", nil}},
		time.Unix(1700000000, 5).UTC(),
	)
}

func TestFieldsHaveTheirJSONNames(t *testing.T) {
	body, err := cbor.Codec.Append(nil, order{ID: 7})
	if want := "a2626964" + "07" + "65696d616765" + "f6"; err != nil || hex.EncodeToString(body) != want {
		t.Errorf("got %x, %v, want %s", body, err, want)
	}
}

func TestTheBufferIsLeftAloneOnFailure(t *testing.T) { codectest.LeavesTheBuffer(t, cbor.Codec) }

func TestHostileInputIsRefused(t *testing.T) {
	codectest.Refuses(t, cbor.Codec, map[string]codectest.Hostile{
		"nothing":                   {""},
		"half a number":             {"1b0000"},
		"a string of 16 EiB":        {"7bffffffffffffffff"},
		"bytes of 16 EiB":           {"5bffffffffffffffff"},
		"an array of 4 billion":     {"9affffffff"},
		"an array of 16 quintillio": {"9bffffffffffffffff"},
		"a map of 4 billion":        {"baffffffff0102"},
		"two values":                {"f6f6"},
		"a million arrays":          {strings.Repeat("81", 1<<20) + "f6"},
		"a million open arrays":     {strings.Repeat("9f", 1<<20)},
		"a million tags":            {strings.Repeat("c1", 1<<20) + "f6"},
		"an array one level over":   {strings.Repeat("81", 65) + "f6"},
	}, new(any), new([]order), new(map[string]any))
	body, _ := hex.DecodeString(strings.Repeat("81", 64) + "f6")
	if err := cbor.Codec.Unmarshal(body, new(any)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	seeds := []any{nil, "x", []any{1, -1, 1e9, []byte("b")}, map[string]any{"a": []string{"b"}}, order{}, time.Now()}
	codectest.Fuzz(f, cbor.Codec, seeds, new(order))
}

func Example() {
	h := arpc.NewHandler()
	h.SetCodec(cbor.Codec)
	body, _, err := arpc.Encode(h.Codec(), order{ID: 7})
	fmt.Printf("%s: %d bytes, %v\n", h.Codec().Name(), len(body), err)
	// Output: cbor: 12 bytes, <nil>
}
