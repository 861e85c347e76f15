package codec_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/seed-fbfaa03e/arpc/codec"
)

func TestJSONAppendsWhatMarshalGives(t *testing.T) {
	for _, v := range []any{nil, 0, false, "", "<é&世>", []int{1}, map[string]any{"a": 7, "b": "x"}, struct{ A int }{7}} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := codec.JSON.Append([]byte("before "), v)
		if err != nil || string(got) != "before "+string(want) {
			t.Errorf("%v: %q, %v; want %q", v, got, err, want)
		}
	}
}

func TestJSONLeavesTheBufferAloneWhenItFails(t *testing.T) {
	for _, v := range []any{math.NaN(), make(chan int), []any{1, 2, func() {}}} {
		got, err := codec.JSON.Append([]byte("before"), v)
		if err == nil || string(got) != "before" {
			t.Errorf("%T: %q, %v", v, got, err)
		}
	}
}

func TestJSONUnmarshal(t *testing.T) {
	var v struct{ A int }
	if err := codec.JSON.Unmarshal([]byte(`{"A":7}`), &v); err != nil || v.A != 7 {
		t.Errorf("%+v, %v", v, err)
	}
	if err := codec.JSON.Unmarshal([]byte(`{"A":`), &v); err == nil {
		t.Error("half an object was accepted")
	}
	if codec.JSON.Name() != "json" {
		t.Error(codec.JSON.Name())
	}
}
