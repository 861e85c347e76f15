package feed

import (
	"encoding/json"

	"github.com/seed-fbfaa03e/arpc/wire"
)

// Method is the method of the notifies that tell of a subscription.
const Method = "arpc.topic"

// Event is what a subscriber is told beside publications, in their order: JSON
// whatever the codec is.
type Event struct {
	// Topic is the topic, "" for what is broadcast.
	Topic string `json:"topic"`
	// Event says what happened.
	Event string `json:"event"`
	// Epoch and Offset are the subscriber's position from now on, where the
	// event has one.
	Epoch  string `json:"epoch,omitempty"`
	Offset uint64 `json:"offset"`
	// Missed is how many publications are gone, with Gap.
	Missed uint64 `json:"missed,omitempty"`
	// Code and Message are why, with Ended.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Member is who came or left, with Join and Leave, Members who is there, with
	// Members, and Version which state of the members that is.
	Member  any    `json:"member,omitempty"`
	Members any    `json:"members,omitempty"`
	Version uint64 `json:"version,omitempty"`
}

// The events.
const (
	Gap        = "gap"        // what lies between the position and this one is gone
	Skip       = "skip"       // what lies between was not for this subscriber
	Epoch      = "epoch"      // the topic has a new epoch
	Ended      = "ended"      // the server ended the subscription
	Subscribed = "subscribed" // the server subscribed the client
	Join       = "join"       // a member came, or what is known of it changed
	Leave      = "leave"      // a member left
	Members    = "members"    // who is there now: changes were missed
)

// Frame is the event as a frame.
func (e Event) Frame() []byte {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, numbers, and JSON that was checked
	}
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Outside.WithKind(wire.Value)}
	return wire.Append(nil, h, Method, body)
}
