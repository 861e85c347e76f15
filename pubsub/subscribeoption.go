package pubsub

import (
	"encoding/json"

	"github.com/seed-fbfaa03e/arpc/internal/feed"
)

type subscribeOptions struct {
	request feed.Request
	onGap   func(Gap)
	onEnd   func(error)
	onJoin  func(m Member, here bool)
	failure error // of an option
}

// Gap says that publications are gone that a subscriber has not got.
type Gap struct {
	// Epoch is that of the topic now. Another one than before means that
	// nothing is known of how much is gone.
	Epoch string
	// From is the offset of the next publication.
	From uint64
	// Missed is how many are gone, 0 if that is not known.
	Missed uint64
}

func newSubscribeOptions(topic string, opts []SubscribeOption) (subscribeOptions, error) {
	o := subscribeOptions{request: feed.Request{Topic: topic}}
	for _, opt := range opts {
		opt.subscribe(&o)
	}
	if o.failure != nil {
		return o, o.failure
	}
	return o, checkTopic(topic)
}

// Since subscribes to everything behind a position: the one that Subscription.Position
// returned before, maybe in a process that ended. If it is not all held any more
// OnGap is told, and what is held comes.
func Since(p Position) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.request.Epoch, o.request.Offset = &p.Epoch, &p.Offset })
}

// Last subscribes to the newest n publications that are held, and what comes.
func Last(n uint64) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.request.Last = n })
}

// Latest gives the newest publication alone where several wait, because this
// client or its connection is slow: for prices, cursors and whatever replaces
// what was before.
func Latest() SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.request.Lag = "latest" })
}

// WithPresence makes the client a member of the topic, which others who do so
// see, with what it says of itself: a value that encodes as at most 4 KiB of
// JSON, or nil. See Subscription.Members and OnMember.
func WithPresence(info any) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) {
		o.request.Presence = true
		if info != nil {
			o.request.Info, o.failure = json.Marshal(info)
		}
	})
}

// OnGap is told of each gap, once and before the publication that comes behind
// it, by the goroutine that calls the handler.
func OnGap(f func(Gap)) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.onGap = f })
}

// OnMember is told of members that come, or change what they say of themselves,
// with here true, and of those that leave. It needs WithPresence.
func OnMember(f func(m Member, here bool)) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.onJoin = f })
}

// OnEnd is told when the server ended the subscription, or does not grant it
// again after a reconnect, and why.
func OnEnd(f func(error)) SubscribeOption {
	return subscribeFunc(func(o *subscribeOptions) { o.onEnd = f })
}
