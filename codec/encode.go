package codec

import (
	"cmp"
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep values with a plan may be; encoding/json has what is
// deeper, where cycles are found and the bound is its own.
const maxDepth = 64

// appendPlanned appends the JSON of v. It reports false, with dst in any state,
// if encoding/json has to do it.
func appendPlanned(dst []byte, p *plan, v reflect.Value, depth int) ([]byte, bool) {
	if depth > maxDepth {
		return dst, false
	}
	switch p.kind {
	case reflect.String:
		return appendText(dst, v.String()), true
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10), true
	case reflect.Float32, reflect.Float64:
		return appendFloat(dst, v.Float(), p.t.Bits())
	case reflect.Struct:
		return appendStruct(dst, p, v, depth)
	}
	if v.IsNil() {
		return append(dst, "null"...), true
	}
	switch {
	case p.kind == reflect.Pointer:
		return appendPlanned(dst, p.elem, v.Elem(), depth+1)
	case p.kind == reflect.Interface:
		return appendDynamic(dst, v.Elem(), depth+1)
	case p.kind == reflect.Map:
		return appendMap(dst, p, v, depth)
	case p.bytes:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes())
		return append(dst, '"'), true
	}
	return appendSlice(dst, p, v, depth)
}

// appendDynamic is for values whose type is known only now.
func appendDynamic(dst []byte, v reflect.Value, depth int) ([]byte, bool) {
	p := planOf(v.Type())
	if p == nil {
		return dst, false
	}
	return appendPlanned(dst, p, v, depth)
}

func appendStruct(dst []byte, p *plan, v reflect.Value, depth int) (_ []byte, ok bool) {
	dst = append(dst, '{')
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		value := v.Field(f.index)
		if f.omitEmpty && isEmpty(value) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.key...)
		if dst, ok = appendPlanned(dst, f.plan, value, depth+1); !ok {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

// isEmpty is what omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func appendSlice(dst []byte, p *plan, v reflect.Value, depth int) (_ []byte, ok bool) {
	dst = append(dst, '[')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, ok = appendPlanned(dst, p.elem, v.Index(i), depth+1); !ok {
			return dst, false
		}
	}
	return append(dst, ']'), true
}

// entry is one of a map, whose keys are written in order.
type entry struct {
	key   string
	value reflect.Value
}

func appendMap(dst []byte, p *plan, v reflect.Value, depth int) (_ []byte, ok bool) {
	entries := make([]entry, 0, v.Len())
	for all := v.MapRange(); all.Next(); {
		entries = append(entries, entry{all.Key().String(), all.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	dst = append(dst, '{')
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, e.key), ':')
		if dst, ok = appendPlanned(dst, p.elem, e.value, depth+1); !ok {
			return dst, false
		}
	}
	return append(dst, '}'), true
}

// appendFloat writes numbers as JavaScript does: with an exponent only where
// they are very small or large. What is no number is an error.
func appendFloat(dst []byte, f float64, bits int) ([]byte, bool) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, false
	}
	small, large := 1e-6, 1e21
	if bits == 32 {
		small, large = float64(float32(1e-6)), float64(float32(1e21))
	}
	if size := math.Abs(f); size == 0 || size >= small && size < large {
		return strconv.AppendFloat(dst, f, 'f', -1, bits), true
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, bits)
	if n := len(dst); n >= 4 && string(dst[n-4:n-1]) == "e-0" { // e-09 is e-9
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst, true
}

// appendText writes a string in quotes. What has no mark in it, which is most,
// is copied and looked at there.
func appendText(dst []byte, s string) []byte {
	dst = append(append(dst, '"'), s...)
	text := len(dst) - len(s)
	plain := plainText(dst[text:])
	if plain < len(s) {
		dst = appendEscaped(dst[:text+plain], s[plain:])
	}
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = appendRune(dst, r, s[i:i+size])
			i += size
			continue
		}
		i++
		switch {
		case textClass[c] == 0:
			dst = append(dst, c)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case shortEscape[c] != 0:
			dst = append(dst, '\\', shortEscape[c])
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// appendRune appends a character that is not ASCII: what is no UTF-8 as the
// replacement character, and the line ends that JavaScript has escaped.
func appendRune(dst []byte, r rune, s string) []byte {
	switch {
	case r == utf8.RuneError && len(s) == 1:
		return append(dst, `\ufffd`...)
	case r == '\u2028' || r == '\u2029':
		return append(dst, '\\', 'u', '2', '0', '2', hexDigits[r&15])
	}
	return append(dst, s...)
}

// shortEscape is the letter of the control characters that have one.
var shortEscape = [utf8.RuneSelf]byte{'\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't'}
