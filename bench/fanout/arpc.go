package fanout

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// One server, and the two kinds of subscribers that it has.
var (
	arpcTopic = Contender{
		Name: "arpc", About: "a topic of pubsub.Server, with offsets and its default history, for clients of this project",
		New:      func() Publisher { return &arpcServer{pubsub.NewServer(pubsub.Open())} },
		Protocol: audience.Protocol{Path: "/", Greet: greetArpc, Read: readArpc},
	}
	arpcLasting = Contender{
		Name: "arpc-lasting", About: "the same for clients whose sessions outlive the connection",
		New:      func() Publisher { return &arpcServer{pubsub.NewServer(pubsub.Open())} },
		Protocol: audience.Protocol{Path: "/", Greet: greetLasting, Read: readArpc},
	}
	arpcBase = Contender{
		Name: "arpc-base", About: "the same for clients that know the base protocol only",
		New:      func() Publisher { return &arpcServer{pubsub.NewServer(pubsub.Open())} },
		Protocol: audience.Protocol{Path: "/", Greet: subscribeBase, Read: readArpc},
	}
)

const (
	topicName      = "news"
	methodPush     = "in_P"
	tailLen        = 2 + 8 // behind the data and the topic: length of the topic, time
	helloWindow    = 256 << 10
	topics         = "topics"
	greetSeq       = 1 // of hello, and of a subscribe behind it
	methodHello    = "arpc.hello"
	methodExtended = "arpc.subscribe"
	methodBase     = "in_S"
)

type arpcServer struct{ *pubsub.Server }

func (s *arpcServer) Serve(ln net.Listener) error { return serveHTTP(ln, s.WebSocket()) }

func (s *arpcServer) Publish(text []byte) error {
	_, err := s.Server.Publish(topicName, text)
	return err
}

// greetArpc says hello and subscribes, in the way that was agreed to.
func greetArpc(l *audience.Link) error { return greetWith(l) }

// greetLasting is the same for a session that outlives the connection.
func greetLasting(l *audience.Link) error { return greetWith(l, "resume") }

func greetWith(l *audience.Link, more ...string) error {
	var agreed struct {
		Caps []string `json:"caps"`
	}
	hello := map[string]any{
		"arpc": 1, "coders": []string{}, "codec": "json", "window": helloWindow,
		"caps":   append([]string{"batch", "cancel", "errors", "kind", "credit", "goaway", topics}, more...),
		"topics": []map[string]any{{"topic": ""}}, // where broadcasts are
	}
	if err := ask(l, methodHello, hello, &agreed); err != nil {
		return err
	}
	if !slices.Contains(agreed.Caps, topics) {
		return subscribeBase(l)
	}
	var position struct {
		Offset uint64 `json:"offset"`
	}
	return ask(l, methodExtended, map[string]any{"topic": topicName}, &position)
}

// ask makes a request of the protocol itself, which is JSON.
func ask(l *audience.Link, method string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	reply, err := request(l, wire.Outside, method, body)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return json.Unmarshal(reply, answer)
}

// subscribeBase subscribes with the base protocol: no data, topic, its length, time.
func subscribeBase(l *audience.Link) error {
	body := binary.LittleEndian.AppendUint16([]byte(topicName), uint16(len(topicName)))
	_, err := request(l, 0, methodBase, binary.LittleEndian.AppendUint64(body, 0))
	return err
}

// request waits for the answer, which is the next message that has one.
func request(l *audience.Link, flags wire.Flags, method string, body []byte) (reply []byte, err error) {
	frame := wire.Append(nil, wire.Header{Cmd: wire.Request, Flags: flags, Seq: greetSeq}, method, body)
	if err := l.Send(audience.Binary, frame); err != nil {
		return nil, err
	}
	for {
		message, err := l.Receive()
		if err != nil {
			return nil, err
		}
		f, err := wire.Split(message)
		switch {
		case err != nil:
			return nil, err
		case f.Cmd != wire.Response || f.Seq != greetSeq:
			continue
		case f.Flags&wire.Error != 0:
			return nil, fmt.Errorf("the server refuses: %s", f.Body)
		}
		return f.Body, nil
	}
}

// readArpc reads the frames that share a message.
func readArpc(message []byte, deliver func([]byte) error) (reply []byte, err error) {
	for len(message) > 0 {
		frame, rest, err := cutFrame(message)
		if err != nil {
			return nil, err
		}
		message = rest
		h := wire.ParseHeader(frame)
		switch body := frame[wire.HeaderLen+int(h.MethodLen):]; {
		case h.Cmd == wire.Ping:
			reply = wire.Header{Cmd: wire.Pong, Seq: h.Seq}.Append(reply)
		case h.Cmd == wire.Notify && string(frame[wire.HeaderLen:len(frame)-len(body)]) == methodPush:
			if err := deliver(dataOf(body)); err != nil {
				return nil, err
			}
		}
	}
	return reply, nil
}

var errFrame = errors.New("half a frame")

func cutFrame(b []byte) (frame, rest []byte, err error) {
	if len(b) < wire.HeaderLen {
		return nil, nil, errFrame
	}
	h := wire.ParseHeader(b)
	size := wire.HeaderLen + int(h.BodyLen)
	if len(b) < size || int(h.BodyLen) < int(h.MethodLen) {
		return nil, nil, errFrame
	}
	return b[:size], b[size:], nil
}

// dataOf is the data of a push, nil if it is none.
func dataOf(body []byte) []byte {
	behind := len(topicName) + tailLen
	if len(body) < behind {
		return nil
	}
	return body[:len(body)-behind]
}
