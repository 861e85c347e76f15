package arpc

import (
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// The commands of messages that NewMessage makes.
const (
	CmdRequest = wire.Request
	CmdNotify  = wire.Notify
)

// Message is a frame that is encoded once and can be sent to any number of
// peers. It never changes and is safe for concurrent use.
type Message struct{ frame []byte }

// NewMessage encodes v for a method. It is for notifies that many peers get;
// a single peer is served by Client.Notify.
func (h *Handler) NewMessage(cmd wire.Cmd, method string, v any) (*Message, error) {
	return newMessage(h.Codec(), wire.Header{Cmd: cmd}, method, v)
}

func newMessage(c codec.Codec, h wire.Header, method string, v any) (*Message, error) {
	if err := wire.CheckMethod(method); err != nil {
		return nil, Errorf(CodeInvalidArgument, "method %q: %w", method, err)
	}
	frame := wire.Begin(make([]byte, 0, wire.HeaderLen+len(method)+64), h, method)
	frame, kind, err := appendValue(frame, c, v)
	if err != nil {
		return nil, Errorf(CodeInvalidArgument, "%w", err)
	}
	if n := len(frame) - wire.HeaderLen; n > wire.MaxBody {
		return nil, Errorf(CodeResourceExhausted, "message of %d bytes, limit %d", n, wire.MaxBody)
	}
	frame[6] = byte(h.Flags.WithKind(kind))
	wire.Finish(frame)
	return &Message{frame}, nil
}

// Frame is the encoded frame. It is not to be changed.
func (m *Message) Frame() []byte { return m.frame }

// Cmd is the command of the message.
func (m *Message) Cmd() wire.Cmd { return wire.ParseHeader(m.frame).Cmd.Command() }

// Method is its method.
func (m *Message) Method() string {
	return string(m.frame[wire.HeaderLen : wire.HeaderLen+int(wire.ParseHeader(m.frame).MethodLen)])
}

// Body is its body with the kind. It is not to be changed.
func (m *Message) Body() Raw {
	h := wire.ParseHeader(m.frame)
	return Raw{Kind: h.Flags.Kind(), Data: m.frame[wire.HeaderLen+int(h.MethodLen):]}
}

// EncodedMessage is a message of a frame that was encoded elsewhere: a whole
// frame as package wire writes it, which must not change any more.
func EncodedMessage(frame []byte) *Message { return &Message{frame} }
