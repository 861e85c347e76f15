// Package cbor is the CBOR codec of RFC 8949, over github.com/fxamacker/cbor:
// smaller than JSON, with bytes and 64-bit integers that stay what they are.
//
//	h.SetCodec(cbor.Codec)                               // for a whole Handler, at both ends
//	h.Handle("/image", f, arpc.WithCodec(cbor.Codec))    // for one route
//
// Fields of structs have the names of their cbor tags, or else of their json tags.
// Into an any, maps are decoded as map[string]any.
package cbor

import (
	"bytes"
	"reflect"

	"github.com/fxamacker/cbor/v2"

	"github.com/seed-fbfaa03e/arpc/codec"
)

const (
	maxDepth    = 64
	maxElements = 1 << 20
)

// Codec is CBOR. What it decodes may be 64 levels deep, and arrays and maps may
// have 1,048,576 elements each.
var Codec codec.Codec = newCodec()

type concise struct {
	encode cbor.UserBufferEncMode
	decode cbor.DecMode
}

func newCodec() concise {
	encode, err := cbor.EncOptions{
		Time:    cbor.TimeRFC3339NanoUTC,
		TimeTag: cbor.EncTagRequired,
	}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	decode, err := cbor.DecOptions{
		MaxNestedLevels:  maxDepth,
		MaxArrayElements: maxElements,
		MaxMapPairs:      maxElements,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return concise{encode, decode}
}

func (concise) Name() string { return "cbor" }

func (c concise) Append(dst []byte, v any) ([]byte, error) {
	w := bytes.NewBuffer(dst)
	if err := c.encode.MarshalToBuffer(v, w); err != nil {
		return dst, err
	}
	return w.Bytes(), nil
}

func (c concise) Unmarshal(data []byte, v any) error { return c.decode.Unmarshal(data, v) }
