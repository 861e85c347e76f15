// Package scenarios holds what must be true of any two peers: one table,
// testdata/table.json, that every pair of implementations and runtimes runs.
// The tests here run it between two Go peers over each door; those of arpc-js
// run the same rows in Node, Deno, Bun and Chromium against the program in
// serve.
//
// A scenario's handlers are the client's, its steps run in order. A step is done
// by a client with a connection of its own: the one that peer names, made when
// it is first named. A $ stands for a word that no other playing has.
//
//	call       method, body -> reply or error; with cancelOn, given up when that
//	           notify has arrived; with times, so many at once
//	notify     method, body; with times, so many in a row
//	receive    the next notify of that method has this body; with times, so many
//	stream     method, send: bodies, then the end -> receive: bodies, then the end
//	           or error; with leave, canceled when these have come
//	session    what the client is told next of its session is events: paused,
//	           resumed, lost
//
//	subscribe  topic, from now, with last: that many, with since: behind that
//	           offset, of epoch or else of the topic's; with echo, and with info,
//	           to be a member who says that -> error
//	unsubscribe topic
//	publish    topic, body, with key, echo or one -> offset or error; with times,
//	           so many in a row
//	message    the next of the topic has this body and offset; with times, so many
//	gap        the next of the topic is a gap: missed (0 is not known), from
//	ended      the next of the topic is its end: error
//	join, leave the next change of the topic's members is of who says body
//	members    topic, receive: what the members say, in any order, soon
//	present    topic, receive: the same, asked for without being there
//	history    topic, after, before, limit -> receive: bodies; from, the newest
//	           offset, more; or error
//
// A body is {"text"}, {"json"}, {"hex"} for bytes, {} for nothing, {"number":
// true} for how many steps of these times were before it, as JSON. A text with
// "times" is repeated. What is given of an error, and an offset that is given,
// is compared.
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
	Session  string             // "none" for clients that have none
	Handlers map[string]Handler // of the client, by method
	Steps    []Step
}

// A Handler is what the client does with a method: one of them.
type Handler struct {
	Reply  *Value
	Error  *Error
	Echo   bool
	Record bool // for receive steps
	Upper  bool // a stream, whose texts come back in capitals
	Break  bool // a stream, that ends as aborted
}

// A Step is one of the steps in the package's comment.
type Step struct {
	Do       string
	Peer     string
	Method   string
	Topic    string
	Body     Value
	Times    int
	Timeout  int // ms
	CancelOn string
	Leave    bool
	Reply    *Value
	Error    *Error
	Send     []Value
	Receive  []Value
	Events   []string

	Since  *uint64
	Epoch  string
	Last   uint64
	Echo   *bool
	Info   json.RawMessage
	Key    string
	One    bool
	Offset *uint64
	Missed uint64
	From   uint64
	After  uint64
	Before uint64
	Limit  int
	More   bool
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

// Load reads the table. In each scenario $ is word and its number.
func Load(word string) ([]Scenario, error) {
	var rows struct{ Scenarios []json.RawMessage }
	if err := decode(table, &rows); err != nil {
		return nil, err
	}
	all := make([]Scenario, len(rows.Scenarios))
	for i, row := range rows.Scenarios {
		if err := decode(bytes.ReplaceAll(row, []byte("$"), fmt.Append(nil, word, i)), &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func decode(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("read the table: %w", err)
	}
	return nil
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
