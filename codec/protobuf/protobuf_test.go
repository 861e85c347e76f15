package protobuf_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/arpctest"
	"github.com/seed-fbfaa03e/arpc/codec/protobuf"
)

func nested(depth int) *structpb.Value {
	v := structpb.NewNumberValue(1)
	for range depth {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	return v
}

func TestMessagesComeBack(t *testing.T) {
	want := nested(10)
	body, err := protobuf.Codec.Append([]byte("before"), want)
	if err != nil || !bytes.HasPrefix(body, []byte("before")) {
		t.Fatal(err)
	}
	body = body[len("before"):]
	into, fresh := &structpb.Value{}, (*structpb.Value)(nil)
	for name, v := range map[string]any{"message": into, "variable": &fresh} {
		if err := protobuf.Codec.Unmarshal(body, v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !proto.Equal(into, want) || !proto.Equal(fresh, want) {
		t.Errorf("got %v and %v", into, fresh)
	}
}

func TestOtherValuesAreRefused(t *testing.T) {
	for _, v := range []any{nil, 7, struct{}{}, map[string]any{}} {
		if got, err := protobuf.Codec.Append([]byte("before"), v); err == nil || string(got) != "before" {
			t.Errorf("%T: %q, %v", v, got, err)
		}
	}
	var number *int
	for _, v := range []any{nil, 7, &number, new(any), (**structpb.Value)(nil), new(string)} {
		if err := protobuf.Codec.Unmarshal(nil, v); err == nil {
			t.Errorf("%T took a message", v)
		}
	}
}

func TestHostileInputIsRefused(t *testing.T) {
	// A value in a list in a value: field 6, then field 1, each with a length.
	deep, err := protobuf.Codec.Append(nil, nested(40))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"80 levels":                  deep,
		"a length behind the end":    unhex(t, "1affffffff0f"),
		"a number without an end":    unhex(t, strings.Repeat("ff", 20)),
		"a field without its length": unhex(t, "1a"),
	} {
		if err := protobuf.Codec.Unmarshal(body, &structpb.Value{}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzUnmarshal(f *testing.F) {
	for depth := range 4 {
		body, err := protobuf.Codec.Append(nil, nested(depth))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var m *structpb.Value
		if protobuf.Codec.Unmarshal(body, &m) == nil {
			if _, err := protobuf.Codec.Append(nil, m); err != nil {
				t.Errorf("%v: %v", m, err)
			}
		}
	})
}

func TestHandlersWithTypes(t *testing.T) {
	h := arpc.NewHandler()
	h.SetCodec(protobuf.Codec)
	arpc.Route(h, "/twice", func(_ *arpc.Context, d *durationpb.Duration) (*durationpb.Duration, error) {
		return durationpb.New(2 * d.AsDuration()), nil
	})
	near := arpc.NewHandler()
	near.SetCodec(protobuf.Codec)
	c, _ := arpctest.Pair(t, near, h)
	var got *durationpb.Duration
	if err := c.Call("/twice", &durationpb.Duration{Seconds: 21}, &got, 10*time.Second); err != nil || got.GetSeconds() != 42 {
		t.Errorf("%v, %v", got, err)
	}
}

func Example() {
	h := arpc.NewHandler()
	h.SetCodec(protobuf.Codec)
	body, _, err := arpc.Encode(h.Codec(), &durationpb.Duration{Seconds: 42})
	fmt.Printf("%s: %x, %v\n", h.Codec().Name(), body, err)
	// Output: protobuf: 082a, <nil>
}
