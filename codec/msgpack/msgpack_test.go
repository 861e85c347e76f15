package msgpack_test

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
	"github.com/seed-fbfaa03e/arpc/codec/msgpack"
)

type order struct {
	ID    uint64 `json:"id"`
	Image []byte `json:"image"`
	Note  string `json:"note" msgpack:"n"`
}

func TestValuesComeBack(t *testing.T) {
	for _, v := range []any{
		true, "Ada",
		[]byte{0, 255},
		int64(math.MinInt64), uint64(math.MaxUint64), 1.5,
		order{ID: math.MaxUint64, Image: []byte("png"), Note: "é"},
		map[string]any{"a": int64(1), "b": []any{"x", nil}},
		time.Unix(1700000000, 5).UTC(),
	} {
		body, err := msgpack.Codec.Append([]byte("before"), v)
		if err != nil || !bytes.HasPrefix(body, []byte("before")) {
			t.Fatalf("%T: %q, %v", v, body, err)
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := msgpack.Codec.Unmarshal(body[len("before"):], back.Interface()); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		got := back.Elem().Interface()
		if at, ok := got.(time.Time); ok {
			got = at.UTC()
		}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("got %#v, want %#v", got, v)
		}
	}
}

func TestFieldsHaveTheirJSONNames(t *testing.T) {
	body, err := msgpack.Codec.Append(nil, order{ID: 7, Note: "x"})
	if want := "83a2696407a5696d616765c0a16ea178"; err != nil || hex.EncodeToString(body) != want {
		t.Errorf("got %x, %v, want %s", body, err, want)
	}
}

func TestTheBufferIsLeftAloneOnFailure(t *testing.T) {
	got, err := msgpack.Codec.Append([]byte("before"), []any{1, make(chan int)})
	if err == nil || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestHostileInputIsRefused(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
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
	} {
		t.Run(name, func(t *testing.T) {
			body, err := hex.DecodeString(tt.body)
			if err != nil {
				t.Fatal(err)
			}
			for _, into := range []any{new(any), new([]order), new(map[string]any), new([]string)} {
				if err := msgpack.Codec.Unmarshal(body, into); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%T: %v, want %q", into, err, tt.want)
				}
			}
		})
	}
	body, _ := hex.DecodeString(strings.Repeat("91", 64) + "c0")
	if err := msgpack.Codec.Unmarshal(body, new(any)); err != nil {
		t.Errorf("64 levels: %v", err)
	}
}

// What passes the check must not panic, nor take memory that its size does not
// explain; what was decoded can be encoded.
func FuzzUnmarshal(f *testing.F) {
	for _, v := range []any{nil, "x", []any{1, -1, 1e9, []byte("b")}, map[string]any{"a": []string{"b"}}, order{}, time.Now()} {
		body, err := msgpack.Codec.Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		if msgpack.Codec.Unmarshal(body, &v) == nil {
			if _, err := msgpack.Codec.Append(nil, v); err != nil {
				t.Errorf("%#v: %v", v, err)
			}
		}
		_ = msgpack.Codec.Unmarshal(body, new(order))
		_ = msgpack.Codec.Unmarshal(body, new([]order))
	})
}

func Example() {
	h := arpc.NewHandler()
	h.SetCodec(msgpack.Codec)
	body, _, err := arpc.Encode(h.Codec(), order{ID: 7})
	fmt.Printf("%s: %d bytes, %v\n", h.Codec().Name(), len(body), err)
	// Output: msgpack: 15 bytes, <nil>
}
