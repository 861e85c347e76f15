package cbor_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec/cbor"
)

type order struct {
	ID    uint64 `json:"id"`
	Image []byte `json:"image"`
}

func TestValuesComeBack(t *testing.T) {
	for _, v := range []any{
		true, "Ada",
		[]byte{0, 255},
		int64(math.MinInt64), uint64(math.MaxUint64), 1.5,
		order{ID: math.MaxUint64, Image: []byte("png")},
		map[string]any{"a": uint64(1), "b": []any{"x", nil}},
		time.Unix(1700000000, 5).UTC(),
	} {
		body, err := cbor.Codec.Append([]byte("before"), v)
		if err != nil || !bytes.HasPrefix(body, []byte("before")) {
			t.Fatalf("%T: %q, %v", v, body, err)
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := cbor.Codec.Unmarshal(body[len("before"):], back.Interface()); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		if got := back.Elem().Interface(); !reflect.DeepEqual(got, v) {
			t.Errorf("got %#v, want %#v", got, v)
		}
	}
}

func TestFieldsHaveTheirJSONNames(t *testing.T) {
	body, err := cbor.Codec.Append(nil, order{ID: 7})
	if want := "a2626964" + "07" + "65696d616765" + "f6"; err != nil || hex.EncodeToString(body) != want {
		t.Errorf("got %x, %v, want %s", body, err, want)
	}
}

func TestTheBufferIsLeftAloneOnFailure(t *testing.T) {
	got, err := cbor.Codec.Append([]byte("before"), []any{1, make(chan int)})
	if err == nil || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHostileInputIsRefused(t *testing.T) {
	for name, hostile := range map[string]string{
		"nothing":                   "",
		"half a number":             "1b0000",
		"a string of 16 EiB":        "7bffffffffffffffff",
		"bytes of 16 EiB":           "5bffffffffffffffff",
		"an array of 4 billion":     "9affffffff",
		"an array of 16 quintillio": "9bffffffffffffffff",
		"a map of 4 billion":        "baffffffff0102",
		"two values":                "f6f6",
		"a million arrays":          strings.Repeat("81", 1<<20) + "f6",
		"a million open arrays":     strings.Repeat("9f", 1<<20),
		"a million tags":            strings.Repeat("c1", 1<<20) + "f6",
		"an array one level over":   strings.Repeat("81", 65) + "f6",
	} {
		t.Run(name, func(t *testing.T) {
			body, err := hex.DecodeString(hostile)
			if err != nil {
				t.Fatal(err)
			}
			for _, into := range []any{new(any), new([]order), new(map[string]any)} {
				if err := cbor.Codec.Unmarshal(body, into); err == nil {
					t.Errorf("%T took it", into)
				}
			}
		})
	}
	body, _ := hex.DecodeString(strings.Repeat("81", 64) + "f6")
	if err := cbor.Codec.Unmarshal(body, new(any)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	for _, v := range []any{nil, "x", []any{1, -1, 1e9, []byte("b")}, map[string]any{"a": []string{"b"}}, order{}, time.Now()} {
		body, err := cbor.Codec.Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		if cbor.Codec.Unmarshal(body, &v) == nil {
			if _, err := cbor.Codec.Append(nil, v); err != nil {
				t.Errorf("%#v: %v", v, err)
			}
		}
		_ = cbor.Codec.Unmarshal(body, new(order))
	})
}

func Example() {
	h := arpc.NewHandler()
	h.SetCodec(cbor.Codec)
	body, _, err := arpc.Encode(h.Codec(), order{ID: 7})
	fmt.Printf("%s: %d bytes, %v\n", h.Codec().Name(), len(body), err)
	// Output: cbor: 12 bytes, <nil>
}
