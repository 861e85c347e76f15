package arpc

import (
	"encoding/json"
	"fmt"

	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// Raw is a body that is encoded already: it is sent as it is, with its kind.
// Binding to a *Raw gives a body as it arrived.
type Raw struct {
	// Kind says what Data is.
	Kind wire.Kind
	// Data is the body.
	Data []byte
}

// body is an encoded value. What is bytes already is not copied: it has to hold
// until it was sent.
type body struct {
	b    []byte
	kind wire.Kind
	held *buffer // holds b; nil if the sender does
}

func (b body) free() {
	if b.held != nil {
		b.held.free()
	}
}

// asIs is the body of a value that needs no encoding.
func asIs(v any) (b body, ok bool) {
	switch v := v.(type) {
	case []byte:
		return body{b: v, kind: wire.Bytes}, true
	case Raw:
		return body{b: v.Data, kind: v.Kind}, true
	}
	return body{}, false
}

// encode encodes a value into a buffer from the pool, unless it is bytes.
func encode(c codec.Codec, v any) (b body, err error) {
	if b, ok := asIs(v); ok {
		return b, nil
	}
	held := takeBuffer()
	held.b, b.kind, err = appendValue(held.b, c, v)
	b.b, b.held = held.b, held
	return b, err
}

// appendValue appends the body that v is sent as: strings and bytes as
// themselves, an error as its text, nil as nothing, all else through the codec.
func appendValue(dst []byte, c codec.Codec, v any) ([]byte, wire.Kind, error) {
	switch v := v.(type) {
	case nil:
		return dst, wire.Unknown, nil
	case string:
		return append(dst, v...), wire.Text, nil
	case []byte:
		return append(dst, v...), wire.Bytes, nil
	case *string:
		if v == nil {
			return dst, wire.Unknown, nil
		}
		return append(dst, *v...), wire.Text, nil
	case *[]byte:
		if v == nil {
			return dst, wire.Unknown, nil
		}
		return append(dst, *v...), wire.Bytes, nil
	case Raw:
		return append(dst, v.Data...), v.Kind, nil
	case error:
		return append(dst, wireText(v)...), wire.Unknown, nil
	}
	dst, err := c.Append(dst, v)
	if err != nil {
		return dst, 0, fmt.Errorf("encode %T as %s: %w", v, c.Name(), err)
	}
	return dst, wire.Value, nil
}

// decodeValue stores a body in what v points to. Strings and bytes take it as
// it is, unless a string was sent as a value of the codec; *any takes what the
// kind says it is. data is not kept.
func decodeValue(c codec.Codec, kind wire.Kind, data []byte, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case *[]byte:
		*v = append([]byte(nil), data...)
		return nil
	case *Raw:
		*v = Raw{kind, append([]byte(nil), data...)}
		return nil
	case *string:
		if kind != wire.Value {
			*v = string(data)
			return nil
		}
	case *any:
		if kind != wire.Value {
			*v = untyped(kind, data)
			return nil
		}
	}
	if err := c.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %d bytes of %s into %T: %w", len(data), c.Name(), v, err)
	}
	return nil
}

// untyped is what a body is to a receiver that does not say what it wants.
func untyped(kind wire.Kind, data []byte) any {
	switch {
	case kind == wire.Text:
		return string(data)
	case kind == wire.Bytes:
		return append([]byte(nil), data...)
	case len(data) == 0:
		return nil
	}
	var v any
	if json.Unmarshal(data, &v) == nil {
		return v
	}
	return string(data)
}

// Encode returns the body that v is sent as, and its kind.
func Encode(c codec.Codec, v any) ([]byte, wire.Kind, error) {
	return appendValue(nil, c, v)
}

// Decode stores a body in what v points to, as Context.Bind does.
func Decode(c codec.Codec, body Raw, v any) error {
	return decodeValue(c, body.Kind, body.Data, v)
}
