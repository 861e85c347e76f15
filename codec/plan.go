package codec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// plan says how values of one type are written and read without encoding/json.
// Only what is the same there in every detail has one: a type with methods of
// its own for JSON, an embedded struct, a rare tag or a rare kind has none.
type plan struct {
	t      reflect.Type
	kind   reflect.Kind
	bytes  bool // a []byte, which is base64
	elem   *plan
	fields []field
	byName map[string]int // index in fields
}

// field is an exported field of a struct.
type field struct {
	index     int
	name      string
	key       string // name, quoted, with its colon
	omitEmpty bool
	plan      *plan
}

// maxFields is how many fields a struct with a plan has: their names seen are a
// bit set.
const maxFields = 64

// plans holds the plan of each type that was asked for; nil where there is none.
var plans sync.Map // reflect.Type to *plan

// planOf is the plan of a type, nil if encoding/json has to do it.
func planOf(t reflect.Type) *plan {
	if found, ok := plans.Load(t); ok {
		return found.(*plan)
	}
	b := planner{made: map[reflect.Type]*plan{}}
	p := b.plan(t)
	if b.failed {
		p = nil
	}
	found, _ := plans.LoadOrStore(t, p)
	return found.(*plan)
}

// planner makes the plans of a type and of all it is made of. If one of them
// cannot have any, none has.
type planner struct {
	made   map[reflect.Type]*plan // types may hold themselves
	failed bool
}

func (b *planner) plan(t reflect.Type) *plan {
	if p := b.made[t]; p != nil || b.failed {
		return p
	}
	p := &plan{t: t, kind: t.Kind()}
	b.made[t] = p
	if speaksForItself(t) {
		b.failed = true
		return nil
	}
	switch p.kind {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		b.failed = t == reflect.TypeFor[json.Number]()
	case reflect.Interface:
		b.failed = t.NumMethod() > 0
	case reflect.Pointer:
		p.elem = b.plan(t.Elem())
	case reflect.Slice:
		p.elem = b.plan(t.Elem())
		p.bytes = t.Elem().Kind() == reflect.Uint8
	case reflect.Map:
		b.failed = t.Key() != reflect.TypeFor[string]()
		p.elem = b.plan(t.Elem())
	case reflect.Struct:
		b.planFields(p)
	default:
		b.failed = true
	}
	return p
}

func (b *planner) planFields(p *plan) {
	p.byName = map[string]int{}
	for i := range p.t.NumField() {
		f := p.t.Field(i)
		if f.Anonymous {
			b.failed = true
			return
		}
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		_, twice := p.byName[name]
		if twice || !isPlain(name) || options != "" && options != "omitempty" || len(p.fields) == maxFields {
			b.failed = true
			return
		}
		p.byName[name] = len(p.fields)
		p.fields = append(p.fields, field{
			index:     i,
			name:      name,
			key:       `"` + name + `":`,
			omitEmpty: options == "omitempty",
			plan:      b.plan(f.Type),
		})
	}
}

// isPlain reports whether a name is the same in every notation.
func isPlain(name string) bool {
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (r < '0' || r > '9') && r != '_' && r != '-' {
			return false
		}
	}
	return name != ""
}

// speaksForItself reports whether a type, or a pointer to it, has methods that
// encoding/json would call.
func speaksForItself(t reflect.Type) bool {
	for _, t := range []reflect.Type{t, reflect.PointerTo(t)} {
		for _, method := range []reflect.Type{
			reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
			reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
		} {
			if t.Implements(method) {
				return true
			}
		}
	}
	return false
}
