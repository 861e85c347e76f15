// Package codec turns values into bytes and back. JSON is the codec that both
// ends use unless they agree on another.
package codec

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Codec encodes and decodes the values of message bodies. Implementations are
// safe for concurrent use.
type Codec interface {
	// Name identifies the format to the peer: "json", "msgpack".
	Name() string
	// Append appends the encoding of v to dst. On error dst is returned unchanged.
	Append(dst []byte, v any) ([]byte, error)
	// Unmarshal decodes data into the value that v points to. It does not
	// keep data.
	Unmarshal(data []byte, v any) error
}

// JSON is encoding/json in all it does, and faster where that is easy: values of
// plain types are written and read here, and whatever is unusual in a type, a
// value or the input is left to encoding/json from the start.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Name() string { return "json" }

func (jsonCodec) Append(dst []byte, v any) ([]byte, error) {
	if v := reflect.ValueOf(v); v.IsValid() {
		if done, ok := appendDynamic(dst, v, 0); ok {
			return done, nil
		}
	}
	w := bytes.NewBuffer(dst)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return dst, err
	}
	w.Truncate(w.Len() - 1) // the newline that Encode adds
	return w.Bytes(), nil
}

func (jsonCodec) Unmarshal(data []byte, v any) error {
	to := reflect.ValueOf(v)
	if to.Kind() == reflect.Pointer && !to.IsNil() && to.Elem().IsZero() { // else it would have to be kept
		to = to.Elem()
		if p := planOf(to.Type()); p != nil {
			d := decoder{data: data}
			if d.whole(p, to) {
				return nil
			}
			to.SetZero()
		}
	}
	return json.Unmarshal(data, v)
}
