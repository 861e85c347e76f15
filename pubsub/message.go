package pubsub

import (
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
)

// Message is one publication, as a subscriber gets it.
type Message struct {
	// Topic is where it was published.
	Topic string
	// Data is the body with its kind; Bind decodes it.
	Data arpc.Raw
	// Offset is its place in the topic, 0 if it was sent to one subscriber.
	// Servers that speak only the base protocol may put any number here.
	Offset uint64
	// Epoch names the life of the topic in which it has that place; "" where
	// it has none.
	Epoch string
	// Time is when it was published, by the clock of the server, or of a
	// publisher that speaks the base protocol.
	Time time.Time

	codec codec.Codec
}

// Bind decodes the data into what v points to, as arpc.Context.Bind does.
func (m *Message) Bind(v any) error {
	if err := arpc.Decode(m.codec, m.Data, v); err != nil {
		return arpc.Errorf(arpc.CodeInvalidArgument, "publication in %q: %w", m.Topic, err)
	}
	return nil
}
