package codec_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/codec"
)

type message struct {
	Text string `json:"text"`
}

// BenchmarkJSON shows what a value costs beside encoding/json alone.
func BenchmarkJSON(b *testing.B) {
	for name, v := range map[string]any{
		"64B":  message{strings.Repeat("x", 64)},
		"1KiB": message{strings.Repeat("x", 1024)},
		"chat": plainThings{Text: "héllo <b>wörld</b>\n", Big: 12345, Words: []string{"a", "bb"}, ByName: map[string]int{"x": 1}},
	} {
		data, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf, _ = codec.JSON.Append(buf[:0], v)
			}
		})
		b.Run(name+"/append/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = json.Marshal(v)
			}
		})
		b.Run(name+"/decode", func(b *testing.B) { decodeEach(b, reflect.TypeOf(v), data, codec.JSON.Unmarshal) })
		b.Run(name+"/decode/encoding-json", func(b *testing.B) { decodeEach(b, reflect.TypeOf(v), data, json.Unmarshal) })
	}
}

func decodeEach(b *testing.B, t reflect.Type, data []byte, decode func([]byte, any) error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := decode(data, reflect.New(t).Interface()); err != nil {
			b.Fatal(err)
		}
	}
}
