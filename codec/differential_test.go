package codec_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/codec"
)

// The types that JSON writes and reads itself, and some that it must not.
type (
	word string

	plainThings struct {
		Text    string            `json:"text"`
		Word    word              `json:"word,omitempty"`
		Yes     bool              `json:"yes"`
		Small   int8              `json:"small"`
		Big     int64             `json:"big"`
		Count   uint16            `json:"count"`
		Single  float32           `json:"single"`
		Double  float64           `json:"double"`
		Bytes   []byte            `json:"bytes"`
		Words   []string          `json:"words,omitempty"`
		ByName  map[string]int    `json:"by_name"`
		Labels  map[string]string `json:"labels,omitempty"`
		Inner   struct{ A, B int }
		Next    *plainThings `json:"next,omitempty"`
		Any     any          `json:"any"`
		Skipped string       `json:"-"`
		hidden  int
	}
	embedding struct {
		plainThings
		Text string `json:"text"`
	}
	oddTags struct {
		Quoted int `json:"quoted,string"`
		Zero   int `json:"zero,omitzero"`
		Odd    int `json:"a<b"`
	}
	outspoken struct{ Number json.Number }
	keyed     struct{ M map[int]string }
	fixed     struct{ A [2]int }
	folded    struct{ Name, NAME string }
	tree      struct{ Kids []tree }
)

// targets are one of each, zero.
func targets() []any {
	return []any{
		new(plainThings), new(embedding), new(oddTags), new(outspoken), new(keyed), new(fixed), new(folded), new(tree),
		new(any), new(string), new(int), new(uint8), new(float64), new(float32), new(bool), new([]byte),
		new([]any), new(map[string]any), new(*int), new([]*string), new([]plainThings), new(json.RawMessage),
		reflect.New(dashed).Interface(),
	}
}

// dashed has a field whose name is a dash, which linters take for a mistake.
var dashed = reflect.StructOf([]reflect.StructField{{Name: "Dash", Type: reflect.TypeFor[string](), Tag: `json:"-,"`}})

// seeds are what has gone wrong in other implementations.
var seeds = []string{
	`{"text":"plain","word":"w","yes":true,"small":-8,"big":9007199254740993,"count":65535,"single":1.5,"double":-0.0,` +
		`"bytes":"AQID","words":["a","b"],"by_name":{"z":1,"a":2},"Inner":{"A":1,"B":2},"next":{"text":"deep"},"any":{"k":[1,"x",null,true]}}`,
	`{"TEXT":"folded","text":"exact"}`, `{"text":"one","text":"two"}`, `{"next":{"big":1},"next":{"count":2}}`,
	`{"NAME":"a","name":"b","Name":"c"}`, `{"unknown":{"a":[1,2,{"b":null}]},"text":"x"}`, `{"-":"dash"}`,
	`"\u0041\u00e9\ud83d\ude00\ud800x\udc00"`, "\"\xff\xfe bad\"", `"<script>&\u2028\u2029"`, `"\/\b\f\n\r\t\"\\"`, `"\x"`, `"\u12"`,
	"\"control \x01\"", "\"del \x7f\"", "\"nul \x00\"", `"unfinished`, `"é" `, `""`,
	`123456789012345678901234567890`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-0`, `01`, `1.`, `.5`, `+1`, `1e400`, `1e-400`,
	`-`, `1e`, `1E+2`, `256`, `3.4028236e38`, `1.0`, `NaN`, `Infinity`, `nul`, `null`, `true`, `falsey`, `{`, `[`, `[1,]`, `[,1]`, `{"a":1,}`, `{,}`,
	`[]`, `{}`, `[null,"a",null]`, `[1,2,3]`, `[1] x`, ` [ 1 , 2 ] `, "\ufeff1", `{"bytes":"A-_="}`, `{"bytes":"AQ\nID"}`, `{"bytes":[1,2]}`, `{"bytes":""}`,
	`{"quoted":"5"}`, `{"quoted":5}`, `{"M":{"1":"a","x":"b"}}`, `{"A":[1,2,3]}`, `{"A":[1]}`, `{"Number":"1"}`, `{"Number":1e5}`,
	`{"small":128}`, `{"small":"1"}`, `{"text":1,"big":5}`, `{"text":null,"words":null,"any":null,"next":null}`, `{"Kids":[{"Kids":[]},{"Kids":null}]}`,
	`{"any":1e999}`, `{"a":1}{"b":2}`, `{"a" :1}`, `{"a":}`, `{1:2}`, `{"by_name":{"a":1,"a":2}}`, `{"any":{"a":1,"a":[2]}}`,
	strings.Repeat("[", 63) + strings.Repeat("]", 63), strings.Repeat("[", 200) + strings.Repeat("]", 200), strings.Repeat("[", 20000), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
	strings.Repeat(`{"next":`, 90) + `{"text":"deep"}` + strings.Repeat(`}`, 90),
}

func FuzzJSONIsEncodingJSON(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		want := targets()
		for i, got := range targets() {
			readAlike(t, data, got, want[i])
		}
		writtenAlike(t, string(data))
		writtenAlike(t, map[string]any{string(data): string(data)})
	})
}

// readAlike decodes with both, and compares what they make of it: the value,
// the error, and how the value is written again.
func readAlike(t *testing.T, data []byte, got, want any) {
	t.Helper()
	before := bytes.Clone(data)
	err, wantErr := codec.JSON.Unmarshal(data, got), json.Unmarshal(data, want)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("decode %q into %T: %v, want %v", data, got, err, wantErr)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("decode %q into %T: %#v, want %#v", data, got, got, want)
	}
	if !bytes.Equal(data, before) {
		t.Fatalf("decode %q into %T changed the input to %q", before, got, data)
	}
	writtenAlike(t, got)
	clear(data)
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("decoded %T keeps the input: %#v", got, got)
	}
	copy(data, before)
}

// writtenAlike encodes with both, behind something that is there.
func writtenAlike(t *testing.T, v any) {
	t.Helper()
	want, wantErr := json.Marshal(v)
	got, err := codec.JSON.Append([]byte("before "), v)
	if (err == nil) != (wantErr == nil) || string(got) != "before "+string(want) {
		t.Fatalf("encode %#v: %s (%v), want %s (%v)", v, got, err, want, wantErr)
	}
}

func FuzzJSONNumbers(f *testing.F) {
	for _, n := range []uint64{0, 1, 1 << 63, math.MaxUint64, math.Float64bits(1e-6), math.Float64bits(1e21), math.Float64bits(math.NaN()), math.Float64bits(math.Inf(-1))} {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n uint64) {
		writtenAlike(t, []any{int8(n), int16(n), int32(n), int64(n), int(n), uint8(n), uint16(n), uint32(n), n, uint(n), n%2 == 0})
		writtenAlike(t, math.Float64frombits(n))
		writtenAlike(t, math.Float32frombits(uint32(n)))
	})
}

func TestJSONWritesWhatEncodingJSONWrites(t *testing.T) {
	five := 5
	next := &plainThings{Text: "last"}
	for _, v := range []any{
		nil, "", "<a&b>\u2028", "\xff\xfe", "a\tb\x00\x1f\x7f", 1.0, 1e21, 1e20, 1e-6, 1e-7, float32(1e21), float32(1e-7), math.Copysign(0, -1), 100000.0,
		[]byte(nil),
		[]byte{},
		[]byte("bytes"), []string(nil),
		[]string{},
		map[string]int(nil),
		map[string]int{"b": 1, "a": 2, "<": 3},
		(*int)(nil), &five,
		[]any{nil, &five, map[string]any{"x": []byte{1}}},
		[2]int{1, 2},
		struct{}{},
		struct{ A any }{},
		plainThings{hidden: 1},
		&plainThings{Next: next, Any: next, Words: []string{"w"}, Skipped: "s"},
		embedding{Text: "e"},
		oddTags{Quoted: 1, Odd: 2},
		json.Number("12"), json.RawMessage(`{"a": 1}`),
		outspoken{"7"},
		keyed{map[int]string{2: "b", 1: "a"}},
		complex(1, 2), func() {}, make(chan int), math.NaN(),
		[]any{math.Inf(1)},
		map[string]any{"f": func() {}},
	} {
		writtenAlike(t, v)
	}
}

func TestJSONFindsCycles(t *testing.T) {
	loop := &plainThings{}
	loop.Next = loop
	got, err := codec.JSON.Append([]byte("before"), loop)
	if err == nil || string(got) != "before" {
		t.Fatalf("encoded a cycle as %d bytes, error %v", len(got), err)
	}
}

// What is in the target is kept where the input does not name it, as
// encoding/json does.
func TestJSONMergesIntoWhatIsThere(t *testing.T) {
	fill := func() *plainThings {
		return &plainThings{Text: "kept", ByName: map[string]int{"kept": 1}, Words: []string{"a", "b"}, Next: &plainThings{Big: 1}}
	}
	for _, data := range []string{`{"by_name":{"new":2}}`, `{"words":["c"]}`, `{"next":{"count":3}}`, `{"text":`, `null`} {
		readAlike(t, []byte(data), fill(), fill())
	}
}

func TestJSONRefusesBadTargets(t *testing.T) {
	for _, v := range []any{nil, plainThings{}, (*plainThings)(nil), 5} {
		err, want := codec.JSON.Unmarshal([]byte(`{}`), v), json.Unmarshal([]byte(`{}`), v)
		if want == nil || fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("decode into %T: %v, want %v", v, err, want)
		}
	}
}
