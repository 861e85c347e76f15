package pubsub

import (
	"encoding/binary"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// MaxTopicLen is the longest name of a topic, in bytes, and MaxKeyLen the longest
// key of a publication.
const (
	MaxTopicLen = 255
	MaxKeyLen   = 128
)

// tailLen is what follows the name in a body: its length as u16, and a time in
// nanoseconds since 1970 as i64, both little-endian.
const tailLen = 2 + 8

// publication is the body that all base routes but in_A carry, and every push:
// data, name, length of the name, time.
type publication struct {
	topic string
	data  []byte
	time  int64 // nanoseconds since 1970, by the publisher's clock
}

// append appends the body.
func (p publication) append(dst []byte) []byte {
	dst = append(dst, p.data...)
	dst = append(dst, p.topic...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(p.topic)))
	return binary.LittleEndian.AppendUint64(dst, uint64(p.time))
}

// parsePublication reads a body. data points into it.
func parsePublication(body []byte) (publication, error) {
	rest := len(body) - tailLen
	if rest < 0 {
		return publication{}, arpc.Errorf(arpc.CodeInvalidArgument, "body of %d bytes, at least %d are needed", len(body), tailLen)
	}
	nameLen := int(binary.LittleEndian.Uint16(body[rest:]))
	if nameLen > rest {
		return publication{}, arpc.Errorf(arpc.CodeInvalidArgument, "topic of %d bytes in a body of %d", nameLen, len(body))
	}
	p := publication{
		topic: string(body[rest-nameLen : rest]),
		data:  body[:rest-nameLen],
		time:  int64(binary.LittleEndian.Uint64(body[rest+2:])),
	}
	return p, checkTopic(p.topic)
}

// checkTopic says whether a name can be a topic's.
func checkTopic(name string) error {
	switch {
	case name == "":
		return arpc.Errorf(arpc.CodeInvalidArgument, "empty topic")
	case len(name) > MaxTopicLen:
		return arpc.Errorf(arpc.CodeInvalidArgument, "topic of %d bytes, limit %d", len(name), MaxTopicLen)
	case !utf8.ValidString(name):
		return arpc.Errorf(arpc.CodeInvalidArgument, "topic is not valid UTF-8")
	}
	return nil
}

// push is the notify that subscribers get, of a body as it came. One that has a
// place in a topic is outside of sessions, because its subscribers can ask for it
// again.
func push(body []byte, flags wire.Flags, kind wire.Kind) []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: flags.WithKind(kind)}
	return wire.Append(make([]byte, 0, wire.HeaderLen+len(routePublish)+len(body)), h, routePublish, body)
}

// pushOf is push for data that is published now.
func pushOf(topic string, data []byte, flags wire.Flags, kind wire.Kind) []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: flags.WithKind(kind)}
	frame := make([]byte, 0, wire.HeaderLen+len(routePublish)+len(data)+len(topic)+tailLen)
	frame = wire.Begin(frame, h, routePublish)
	frame = publication{topic, data, time.Now().UnixNano()}.append(frame)
	wire.Finish(frame)
	return frame
}

// publishOptions are what a publication comes with.
type publishOptions struct {
	Topic string `json:"topic"`
	Key   string `json:"key,omitempty"`
	Echo  *bool  `json:"echo,omitempty"`
	One   bool   `json:"one,omitempty"`
}

func newPublishOptions(topic string, opts []PublishOption) publishOptions {
	o := publishOptions{Topic: topic}
	for _, opt := range opts {
		opt.publish(&o)
	}
	return o
}

func (o *publishOptions) check() error {
	if len(o.Key) > MaxKeyLen {
		return arpc.Errorf(arpc.CodeInvalidArgument, "key of %d bytes, limit %d", len(o.Key), MaxKeyLen)
	}
	return checkTopic(o.Topic)
}

// noEcho reports whether the publisher is not to get its publication.
func (o *publishOptions) noEcho() bool { return o.Echo != nil && !*o.Echo }

// appendOptions appends options to data: JSON, and its length as u16. What does
// not fit there is an error.
func appendOptions(data []byte, options any) ([]byte, error) {
	text, err := json.Marshal(options)
	if err != nil || len(text) > 1<<16-1 {
		return nil, arpc.Errorf(arpc.CodeInvalidArgument, "options of %d bytes: %w", len(text), err)
	}
	return binary.LittleEndian.AppendUint16(append(data, text...), uint16(len(text))), nil
}

// splitOptions reads what appendOptions wrote. data points into body.
func splitOptions(body []byte, options any) (data []byte, err error) {
	rest := len(body) - 2
	if rest < 0 {
		return nil, arpc.Errorf(arpc.CodeInvalidArgument, "body of %d bytes without options", len(body))
	}
	length := int(binary.LittleEndian.Uint16(body[rest:]))
	if length > rest {
		return nil, arpc.Errorf(arpc.CodeInvalidArgument, "options of %d bytes in a body of %d", length, len(body))
	}
	if err := json.Unmarshal(body[rest-length:rest], options); err != nil {
		return nil, arpc.Errorf(arpc.CodeInvalidArgument, "options are not the JSON that they must be")
	}
	return body[:rest-length], nil
}
