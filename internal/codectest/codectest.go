// Package codectest holds codecs to what every one of them has to do, whatever its
// format is.
package codectest

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// ComeBack fails the test unless each value is what it was, once it went through
// the codec, behind what was in the buffer before. Times are to be in UTC.
func ComeBack(t *testing.T, c codec.Codec, values ...any) {
	t.Helper()
	for _, v := range values {
		body, err := c.Append([]byte("before"), v)
		if err != nil || !bytes.HasPrefix(body, []byte("before")) {
			t.Fatalf("%T: %q, %v", v, body, err)
		}
		back := reflect.New(reflect.TypeOf(v))
		if err := c.Unmarshal(body[len("before"):], back.Interface()); err != nil {
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

// LeavesTheBuffer fails the test unless a value that cannot be encoded leaves what
// was in the buffer, and nothing else.
func LeavesTheBuffer(t *testing.T, c codec.Codec) {
	t.Helper()
	got, err := c.Append([]byte("before"), []any{1, make(chan int)})
	if err == nil || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
}

// Hostile is input that is no value: in hex, and what the error has to say.
type Hostile [2]string

// Refuses fails the test unless hostile input is refused, whatever it is to become.
func Refuses(t *testing.T, c codec.Codec, hostile map[string]Hostile, into ...any) {
	for name, h := range hostile {
		t.Run(name, func(t *testing.T) {
			body, err := hex.DecodeString(h[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range into {
				v := reflect.New(reflect.TypeOf(v).Elem()).Interface()
				if err := c.Unmarshal(body, v); err == nil || !strings.Contains(err.Error(), h[1]) {
					t.Errorf("%T: %v, want %q", v, err, h[1])
				}
			}
		})
	}
}

// Fuzz holds that no input makes the codec panic, or take memory that its size does
// not explain, and that what was decoded can be encoded. into are pointers.
func Fuzz(f *testing.F, c codec.Codec, seeds []any, into ...any) {
	for _, v := range seeds {
		body, err := c.Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var v any
		if c.Unmarshal(body, &v) == nil {
			if _, err := c.Append(nil, v); err != nil {
				t.Errorf("%#v: %v", v, err)
			}
		}
		for _, v := range into {
			_ = c.Unmarshal(body, reflect.New(reflect.TypeOf(v).Elem()).Interface())
		}
	})
}
