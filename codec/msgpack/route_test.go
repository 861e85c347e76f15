package msgpack_test

import (
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec/msgpack"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// A route with a codec of its own takes and gives values in it, at either end and
// to base peers too, while the other routes stay what they are.
func TestRouteHasACodecOfItsOwn(t *testing.T) {
	type picture struct{ Bytes []byte }
	arpctest.EachWay(t, func(far *arpc.Handler) {
		mirror := func(_ *arpc.Context, p picture) (picture, error) {
			return picture{append(p.Bytes, p.Bytes...)}, nil
		}
		arpc.Route(far, "/json", mirror)
		arpc.Route(far, "/msgpack", mirror, arpc.WithCodec(msgpack.Codec), arpc.Inline)
	}, func(t *testing.T, near *arpc.Client) {
		var plain picture
		if err := near.Call("/json", picture{[]byte("ab")}, &plain, arpctest.Wait); err != nil || string(plain.Bytes) != "abab" {
			t.Errorf("json: %q, %v", plain.Bytes, err)
		}
		body, kind, err := arpc.Encode(msgpack.Codec, picture{[]byte("ab")})
		if err != nil {
			t.Fatal(err)
		}
		var raw arpc.Raw
		if err := near.Call("/msgpack", arpc.Raw{Kind: kind, Data: body}, &raw, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		var got picture
		if err := arpc.Decode(msgpack.Codec, raw, &got); err != nil || string(got.Bytes) != "abab" {
			t.Errorf("msgpack: %q, %v", got.Bytes, err)
		}
		if err := near.Call("/msgpack", picture{[]byte("ab")}, &raw, arpctest.Wait); arpc.CodeOf(err) == "" {
			t.Error("the route took JSON")
		}
	})
}
