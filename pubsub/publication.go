package pubsub

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// The routes of the base protocol.
const (
	routeAuthenticate = "in_A"
	routeSubscribe    = "in_S"
	routeUnsubscribe  = "in_U"
	routePublish      = "in_P"
	routePublishToOne = "in_P1"
)

// MaxTopicLen is the longest name of a topic, in bytes.
const MaxTopicLen = 255

// tailLen is what follows the name in a body: its length as u16, and a time in
// nanoseconds since 1970 as i64, both little-endian.
const tailLen = 2 + 8

// publication is the body that all routes but in_A carry: data, name, length of
// the name, time.
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

// push is the notify that subscribers get. One that has a place in a topic is
// outside of sessions, because its subscribers can ask for it again.
func push(body []byte, flags wire.Flags, kind wire.Kind) []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: flags.WithKind(kind)}
	return wire.Append(make([]byte, 0, wire.HeaderLen+len(routePublish)+len(body)), h, routePublish, body)
}
