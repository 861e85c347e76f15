package feed

import (
	"encoding/json"

	"github.com/seed-fbfaa03e/arpc"
)

// Request is what a client asks for when it subscribes: the body of
// arpc.subscribe, and an element of the topics in hello.
type Request struct {
	// Topic is the topic, "" for what is broadcast, in hello only.
	Topic string `json:"topic"`
	// Epoch and Offset are the position since which it wants everything: both or
	// neither.
	Epoch  *string `json:"epoch,omitempty"`
	Offset *uint64 `json:"offset,omitempty"`
	// Last is how many of the newest it wants.
	Last uint64 `json:"last,omitempty"`
	// Lag is what is wanted of several that wait: "all", or "latest".
	Lag string `json:"lag,omitempty"`
	// Presence makes the client a member and tells it of the others.
	Presence bool `json:"presence,omitempty"`
	// Info is what it says of itself to them.
	Info json.RawMessage `json:"info,omitempty"`
	// Member is a secret of the client from which its ID as a member is made,
	// so that it stays the same when it reconnects.
	Member string `json:"member,omitempty"`
	// Echo, if it is false, keeps the client's own publications from it.
	Echo *bool `json:"echo,omitempty"`
}

// Answer is the answer to a Request.
type Answer struct {
	// Topic is the topic.
	Topic string `json:"topic"`
	// Epoch and Offset are the position before the first push.
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
	// Last is the newest offset there is: what is up to it is history.
	Last uint64 `json:"last"`
	// Recovered says that nothing is missing behind what was asked for.
	Recovered bool `json:"recovered"`
	// From is the oldest offset held, where something is missing.
	From uint64 `json:"from,omitempty"`
	// Members are who is there, and Version which state of them that is; with
	// Presence.
	Members json.RawMessage `json:"members,omitempty"`
	Version uint64          `json:"version,omitempty"`
}

// Refusal is the answer to an element of hello that cannot be had.
type Refusal struct {
	Error struct {
		Code    arpc.Code `json:"code"`
		Message string    `json:"message"`
	} `json:"error"`
}

// Refuse is the Refusal for an error.
func Refuse(err *arpc.Error) Refusal {
	var r Refusal
	r.Error.Code, r.Error.Message = err.Code, err.Message
	return r
}

// Check finds what cannot be right whatever the topic.
func (r *Request) Check() error {
	switch {
	case (r.Epoch == nil) != (r.Offset == nil):
		return arpc.Errorf(arpc.CodeInvalidArgument, "a position is an epoch and an offset")
	case r.Lag != "" && r.Lag != "all" && r.Lag != "latest":
		return arpc.Errorf(arpc.CodeInvalidArgument, `lag %q is neither "all" nor "latest"`, r.Lag)
	}
	return nil
}

// State is where a log stands: its epoch, the oldest offset held, 0 if none is,
// and the newest.
type State struct {
	Epoch       string
	First, Last uint64
}

// Place is where a subscription begins.
func (r *Request) Place(s State) Answer {
	a := r.place(s)
	a.Topic, a.Last = r.Topic, s.Last
	return a
}

func (r *Request) place(s State) Answer {
	held := s.Last // the position in front of all that is held
	if s.First > 0 {
		held = s.First - 1
	}
	switch {
	case r.Epoch == nil:
		return Answer{Epoch: s.Epoch, Offset: max(s.Last-min(r.Last, s.Last), held), Recovered: true}
	case *r.Epoch != s.Epoch:
		return Answer{Epoch: s.Epoch, Offset: held, From: s.First}
	case *r.Offset > s.Last: // the log lost its end
		return Answer{Epoch: s.Epoch, Offset: s.Last, From: s.First}
	case *r.Offset < held:
		return Answer{Epoch: s.Epoch, Offset: held, From: s.First}
	}
	return Answer{Epoch: s.Epoch, Offset: *r.Offset, Recovered: true}
}

// Behind reports whether the subscription begins behind what a log from s.First
// on holds, so that only whoever holds more knows where.
func (r *Request) Behind(s State) bool {
	held := s.Last
	if s.First > 0 {
		held = s.First - 1
	}
	switch {
	case r.Epoch == nil:
		return s.Last-min(r.Last, s.Last) < held
	case *r.Epoch != s.Epoch:
		return true
	}
	return *r.Offset < held
}
