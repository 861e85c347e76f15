package codec

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// decoder reads JSON into values that are zero. Its methods report false when
// they meet what they do not know, right or wrong: encoding/json has to do it.
type decoder struct {
	data    []byte
	at      int
	scratch []byte // the last string that had escapes
}

// whole reads a value, behind which there is nothing.
func (d *decoder) whole(p *plan, v reflect.Value) bool {
	if !d.value(p, v, 0) {
		return false
	}
	d.space()
	return d.at == len(d.data)
}

func (d *decoder) space() {
	for d.at < len(d.data) {
		switch d.data[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// next skips space and takes c, if that is what comes.
func (d *decoder) next(c byte) bool {
	d.space()
	if d.at < len(d.data) && d.data[d.at] == c {
		d.at++
		return true
	}
	return false
}

// word takes a literal.
func (d *decoder) word(w string) bool {
	if len(d.data)-d.at < len(w) || string(d.data[d.at:d.at+len(w)]) != w {
		return false
	}
	d.at += len(w)
	return true
}

// peek is the first byte of what comes, 0 at the end.
func (d *decoder) peek() byte {
	d.space()
	if d.at == len(d.data) {
		return 0
	}
	return d.data[d.at]
}

func (d *decoder) value(p *plan, v reflect.Value, depth int) bool {
	if depth > maxDepth {
		return false
	}
	if d.peek() == 'n' {
		return d.word("null") // what is zero stays so
	}
	switch p.kind {
	case reflect.String:
		s, ok := d.text()
		v.SetString(string(s))
		return ok
	case reflect.Bool:
		yes := d.word("true")
		v.SetBool(yes)
		return yes || d.word("false")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(string(d.number()), 10, p.t.Bits())
		v.SetInt(n)
		return err == nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(string(d.number()), 10, p.t.Bits())
		v.SetUint(n)
		return err == nil
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(string(d.number()), p.t.Bits())
		v.SetFloat(n)
		return err == nil
	case reflect.Pointer:
		to := reflect.New(p.elem.t)
		v.Set(to)
		return d.value(p.elem, to.Elem(), depth+1)
	case reflect.Interface:
		x, ok := d.dynamic(depth + 1)
		if ok {
			v.Set(reflect.ValueOf(x))
		}
		return ok
	case reflect.Map:
		return d.mapping(p, v, depth)
	case reflect.Struct:
		return d.object(p, v, depth)
	}
	if p.bytes {
		return d.base64(v)
	}
	return d.list(p, v, depth)
}

// separated reads what is between two brackets, one after the other.
func (d *decoder) separated(begin, end byte, one func() bool) bool {
	if !d.next(begin) {
		return false
	}
	if d.next(end) {
		return true
	}
	for one() {
		if d.next(end) {
			return true
		}
		if !d.next(',') {
			return false
		}
	}
	return false
}

// key reads the name of a member, and the colon behind it.
func (d *decoder) key() (name []byte, ok bool) {
	d.space()
	name, ok = d.text()
	return name, ok && d.next(':')
}

// object reads a struct. A name that is not a field's in so many letters, or
// comes twice, has rules of its own there.
func (d *decoder) object(p *plan, v reflect.Value, depth int) bool {
	var seen uint64
	expected := 0
	return d.separated('{', '}', func() bool {
		i, ok := d.member(p, expected)
		if !ok || seen&(1<<i) != 0 {
			return false
		}
		seen |= 1 << i
		expected = i + 1
		f := &p.fields[i]
		return d.value(f.plan, v.Field(f.index), depth+1)
	})
}

// member reads the name of a field and the colon behind it. Most come in the
// order of the fields, and as they are written here.
func (d *decoder) member(p *plan, expected int) (i int, ok bool) {
	d.space()
	if expected < len(p.fields) && d.word(p.fields[expected].key) {
		return expected, true
	}
	name, ok := d.key()
	if !ok {
		return 0, false
	}
	i, ok = p.byName[string(name)]
	return i, ok
}

func (d *decoder) list(p *plan, v reflect.Value, depth int) bool {
	n := 0
	ok := d.separated('[', ']', func() bool {
		v.Grow(1)
		n++
		v.SetLen(n)
		return d.value(p.elem, v.Index(n-1), depth+1)
	})
	if ok && n == 0 {
		v.Set(reflect.MakeSlice(p.t, 0, 0))
	}
	return ok
}

func (d *decoder) mapping(p *plan, v reflect.Value, depth int) bool {
	m := reflect.MakeMap(p.t)
	v.Set(m)
	return d.separated('{', '}', func() bool {
		name, ok := d.key()
		if !ok {
			return false
		}
		key, value := reflect.ValueOf(string(name)), reflect.New(p.elem.t).Elem()
		if !d.value(p.elem, value, depth+1) {
			return false
		}
		m.SetMapIndex(key, value)
		return true
	})
}

// dynamic reads what a variable of no type gets.
func (d *decoder) dynamic(depth int) (x any, ok bool) {
	if depth > maxDepth {
		return nil, false
	}
	switch c := d.peek(); c {
	case 'n':
		return nil, d.word("null")
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	case '"':
		s, ok := d.text()
		return string(s), ok
	case '{':
		return d.dynamicObject(depth)
	case '[':
		return d.dynamicList(depth)
	}
	n, err := strconv.ParseFloat(string(d.number()), 64)
	return n, err == nil
}

func (d *decoder) dynamicObject(depth int) (any, bool) {
	m := map[string]any{}
	ok := d.separated('{', '}', func() bool {
		name, ok := d.key()
		if !ok {
			return false
		}
		key := string(name)
		m[key], ok = d.dynamic(depth + 1)
		return ok
	})
	return m, ok
}

func (d *decoder) dynamicList(depth int) (any, bool) {
	list := []any{}
	ok := d.separated('[', ']', func() bool {
		x, ok := d.dynamic(depth + 1)
		list = append(list, x)
		return ok
	})
	return list, ok
}

func (d *decoder) base64(v reflect.Value) bool {
	s, ok := d.text()
	if !ok {
		return false
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Decode(b, s)
	v.SetBytes(b[:n])
	return err == nil
}

// number takes the digits of a number, nil if there is none.
func (d *decoder) number() []byte {
	start := d.at
	d.accept('-', '-')
	if !d.accept('0', '0') && !d.digits() {
		return nil
	}
	if d.accept('.', '.') && !d.digits() {
		return nil
	}
	if d.accept('e', 'E') {
		if !d.accept('+', '+') {
			d.accept('-', '-')
		}
		if !d.digits() {
			return nil
		}
	}
	return d.data[start:d.at]
}

// accept takes one byte, if it is one of two.
func (d *decoder) accept(a, b byte) bool {
	if d.at < len(d.data) && (d.data[d.at] == a || d.data[d.at] == b) {
		d.at++
		return true
	}
	return false
}

func (d *decoder) digits() bool {
	start := d.at
	for d.at < len(d.data) && d.data[d.at]-'0' <= 9 {
		d.at++
	}
	return d.at > start
}

// text takes a string. What it returns holds until the next one is read.
func (d *decoder) text() ([]byte, bool) {
	if !d.accept('"', '"') {
		return nil, false
	}
	start, ascii := d.at, true
	for {
		d.at += plainString(d.data[d.at:])
		if d.at == len(d.data) {
			return nil, false
		}
		switch c := d.data[d.at]; {
		case c == '"':
			s := d.data[start:d.at]
			d.at++
			return s, ascii || utf8.Valid(s)
		case c == '\\':
			d.scratch = append(d.scratch[:0], d.data[start:d.at]...)
			return d.escaped()
		case c < ' ':
			return nil, false
		}
		ascii = false
		d.at++
	}
}

// escaped takes the rest of a string from its first escape on.
func (d *decoder) escaped() ([]byte, bool) {
	for d.at < len(d.data) {
		n := plainString(d.data[d.at:])
		d.scratch = append(d.scratch, d.data[d.at:d.at+n]...)
		d.at += n
		if d.at == len(d.data) {
			break
		}
		c := d.data[d.at]
		d.at++
		switch {
		case c == '"':
			return d.scratch, utf8.Valid(d.scratch)
		case c == '\\':
			if !d.escape() {
				return nil, false
			}
		case c < ' ':
			return nil, false
		default:
			d.scratch = append(d.scratch, c)
		}
	}
	return nil, false
}

// escape takes what is behind a backslash. Surrogates have rules of their own.
func (d *decoder) escape() bool {
	if d.at == len(d.data) {
		return false
	}
	c := d.data[d.at]
	d.at++
	if c != 'u' {
		d.scratch = append(d.scratch, unescape[c])
		return unescape[c] != 0
	}
	if len(d.data)-d.at < 4 {
		return false
	}
	var r rune
	for _, c := range d.data[d.at : d.at+4] {
		digit := hexValue[c]
		if digit == 0 {
			return false
		}
		r = r<<4 | rune(digit-1)
	}
	d.at += 4
	if r >= 0xd800 && r < 0xe000 {
		return false
	}
	d.scratch = utf8.AppendRune(d.scratch, r)
	return true
}

// unescape is what the letter behind a backslash stands for.
var unescape = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// hexValue is one more than the value of a hexadecimal digit.
var hexValue = func() (value [256]byte) {
	for i, c := range []byte(hexDigits) {
		value[c] = byte(i + 1)
		if c >= 'a' {
			value[c-'a'+'A'] = byte(i + 1)
		}
	}
	return value
}()
