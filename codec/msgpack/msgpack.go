// Package msgpack is the MessagePack codec, over github.com/vmihailenco/msgpack:
// smaller than JSON, with bytes and 64-bit integers that stay what they are.
//
//	h.SetCodec(msgpack.Codec)                                  // for a whole Handler, at both ends
//	h.Handle("/image", f, arpc.WithCodec(msgpack.Codec))       // for one route
//
// Fields of structs have the names of their msgpack tags, or else of their json
// tags. Into an any, integers are decoded as int64 or uint64, maps as
// map[string]any.
package msgpack

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// Codec is MessagePack. What it decodes may be 64 levels deep, and holds no more
// elements than it has bytes; that is looked at before anything is allocated.
var Codec codec.Codec = messagePack{}

type messagePack struct{}

func (messagePack) Name() string { return "msgpack" }

func (messagePack) Append(dst []byte, v any) ([]byte, error) {
	w := bytes.NewBuffer(dst)
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	e.Reset(w)
	e.SetCustomStructTag("json")
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		return dst, err
	}
	return w.Bytes(), nil
}

func (messagePack) Unmarshal(data []byte, v any) error {
	if err := check(data); err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	d := msgpack.GetDecoder()
	defer msgpack.PutDecoder(d)
	d.Reset(bytes.NewReader(data))
	d.SetCustomStructTag("json")
	d.UseLooseInterfaceDecoding(true)
	return d.Decode(v)
}
