// Package scenarios holds what must be true of any two peers: one table,
// testdata/table.json, that every pair of implementations and runtimes runs.
// The tests here run it between two Go peers over each door; those of arpc-js
// run the same rows in Node, Deno, Bun and Chromium against the program in
// serve.
//
// A scenario has a connection of its own. Its handlers are the client's, its
// steps run in order:
//
//	call       method, body -> reply or error; with cancelOn, given up when that
//	           notify has arrived; with times, so many at once
//	notify     method, body; with times, so many in a row
//	receive    the next notify of that method has this body; with times, so many
//	stream     method, send: bodies, then the end -> receive: bodies, then the end
//	           or error
//	subscribe, publish, message: topic, body
//
// A body is {"text"}, {"json"}, {"hex"} for bytes, {} for nothing, {"number":
// true} for how many steps of these times were before it, as JSON. A text with
// "times" is repeated. An error is compared by what is given of it.
package scenarios

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

//go:embed testdata/table.json
var table []byte

// A Scenario is a row of the table.
type Scenario struct {
	Name     string
	Handlers map[string]Handler // of the client, by method
	Steps    []Step
}

// A Handler is what the client does with a method: one of them.
type Handler struct {
	Reply  *Value
	Error  *Error
	Echo   bool
	Record bool // for receive steps
}

// A Step is one of the steps in the package's comment.
type Step struct {
	Do       string
	Method   string
	Topic    string
	Body     Value
	Times    int
	Timeout  int // ms
	CancelOn string
	Reply    *Value
	Error    *Error
	Send     []Value
	Receive  []Value
}

// A Value is a body, and what it is.
type Value struct {
	Text   *string
	Hex    *string
	JSON   json.RawMessage
	Number bool
	Times  int
}

// An Error is what is expected of an error; what is nil is not compared.
type Error struct {
	Code    arpc.Code
	Message *string
	Data    json.RawMessage
	Remote  *bool
	Sent    *bool
}

// Load reads the table.
func Load() ([]Scenario, error) {
	var all struct{ Scenarios []Scenario }
	decoder := json.NewDecoder(bytes.NewReader(table))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("read the table: %w", err)
	}
	return all.Scenarios, nil
}

// Body is the body as it is sent the i-th time.
func (v Value) Body(i int) (arpc.Raw, error) {
	switch {
	case v.Number:
		return arpc.Raw{Kind: wire.Value, Data: strconv.AppendInt(nil, int64(i), 10)}, nil
	case v.Text != nil:
		return arpc.Raw{Kind: wire.Text, Data: []byte(strings.Repeat(*v.Text, max(v.Times, 1)))}, nil
	case v.Hex != nil:
		data, err := hex.DecodeString(*v.Hex)
		return arpc.Raw{Kind: wire.Bytes, Data: data}, err
	case v.JSON != nil:
		return arpc.Raw{Kind: wire.Value, Data: v.JSON}, nil
	}
	return arpc.Raw{}, nil
}

// Matches says how a body that arrived differs from v.
func (v Value) Matches(got arpc.Raw, i int) error {
	want, err := v.Body(i)
	if err != nil {
		return err
	}
	isSame := bytes.Equal(got.Data, want.Data)
	if want.Kind == wire.Value && !isSame {
		isSame = sameJSON(got.Data, want.Data)
	}
	if got.Kind != want.Kind || !isSame {
		return fmt.Errorf("got kind %v: %.60q, want kind %v: %.60q", got.Kind, got.Data, want.Kind, want.Data)
	}
	return nil
}

// Matches says how an error differs from want.
func (want Error) Matches(err error) error {
	var got *arpc.Error
	if !errors.As(err, &got) {
		return fmt.Errorf("got %v, want an error with code %s", err, want.Code)
	}
	isSame := got.Code == want.Code &&
		(want.Message == nil || got.Message == *want.Message) &&
		(want.Data == nil || sameJSON(got.Data, want.Data)) &&
		(want.Remote == nil || got.Remote() == *want.Remote) &&
		(want.Sent == nil || got.Sent == *want.Sent)
	if !isSame {
		text, _ := json.Marshal(want)
		return fmt.Errorf("got %s: %s, data %s, remote %v, sent %v; want %s", got.Code, got.Message, got.Data, got.Remote(), got.Sent, text)
	}
	return nil
}

func sameJSON(a, b []byte) bool {
	var left, right any
	return json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil && reflect.DeepEqual(left, right)
}
