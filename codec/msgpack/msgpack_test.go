package msgpack_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec/msgpack"
	"github.com/seed-fbfaa03e/arpc/internal/codectest"
)

type order struct {
	ID    uint64 `json:"id"`
	Image []byte `json:"image"`
	Note  string `json:"note" msgpack:"n"`
}

func TestValuesComeBack(t *testing.T) {
	codectest.ComeBack(
		t, msgpack.Codec,
		true, "Ada",
		[]byte{0, 255},
		int64(math.MinInt64), uint64(math.MaxUint64), 1.5,
		order{ID: math.MaxUint64, Image: []byte("png"), Note: "é"},
		map[string]any{"a": int64(1), "b": []any{"x", nil}},
		time.Unix(1700000000, 5).UTC(),
	)
}

func TestFieldsHaveTheirJSONNames(t *testing.T) {
	body, err := msgpack.Codec.Append(nil, order{ID: 7, Note: "x"})
	if want := "83a2696407a5696d616765c0a16ea178"; err != nil || hex.EncodeToString(body) != want {
		t.Errorf("got %x, %v, want %s", body, err, want)
	}
}

func TestTheBufferIsLeftAloneOnFailure(t *testing.T) { codectest.LeavesTheBuffer(t, msgpack.Codec) }

func TestHostileInputIsRefused(t *testing.T) {
	codectest.Refuses(t, msgpack.Codec, map[string]codectest.Hostile{
		"nothing":                 {"", "behind the end"},
		"half a number":           {"cf0000", "behind the end"},
		"half a length":           {"db0000", "behind the end"},
		"a string of 4 GiB":       {"dbffffffff", "behind the end"},
		"an array of 4 billion":   {"ddffffffff", "behind the end"},
		"a map of 4 billion":      {"dfffffffff0102", "behind the end"},
		"an extension of 4 GiB":   {"c9ffffffff01", "behind the end"},
		"two values":              {"c0c0", "1 bytes behind"},
		"what is no value":        {"c1", "begins no value"},
		"an array one level over": {strings.Repeat("91", 65) + "c0", "levels deep"},
		"a million arrays":        {strings.Repeat("91", 1<<20) + "c0", "levels deep"},
		"a million maps":          {strings.Repeat("81a161", 1<<20) + "c0", "levels deep"},
	}, new(any), new([]order), new(map[string]any), new([]string))
	body, _ := hex.DecodeString(strings.Repeat("91", 64) + "c0")
	if err := msgpack.Codec.Unmarshal(body, new(any)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	seeds := []any{nil, "x", []any{1, -1, 1e9, []byte("b")}, map[string]any{"a": []string{"b"}}, order{}, time.Now()}
	codectest.Fuzz(f, msgpack.Codec, seeds, new(order), new([]order))
}

func Example() {
	h := arpc.NewHandler()
	h.SetCodec(msgpack.Codec)
	body, _, err := arpc.Encode(h.Codec(), order{ID: 7})
	fmt.Printf("%s: %d bytes, %v\n", h.Codec().Name(), len(body), err)
	// Output: msgpack: 15 bytes, <nil>
}
