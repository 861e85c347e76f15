// Package wire is the frame format of arpc: pure bytes, no I/O, no goroutine, no lock.
//
// A frame is a 16-byte little-endian header, then the method, then the body:
//
//	offset  size  field
//	0       4     bodyLen    bytes that follow the header: method and body
//	4       1     coders     one bit for each coder that transformed the frame
//	5       1     cmd        command in the low six bits, stream bits 6 and 7
//	6       1     flags      see Flags
//	7       1     methodLen  bytes of the method, at most 127
//	8       8     seq        a number chosen by whoever opened the exchange
//
// Writers use [Append], or [Begin] and [Finish] when the body is encoded in
// place. Readers feed a [Decoder] with bytes in any split. Functions of this
// package are safe for concurrent use; a Decoder belongs to one goroutine.
package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	// HeaderLen is the number of bytes in front of every frame.
	HeaderLen = 16
	// MaxMethodLen is the longest method, in bytes.
	MaxMethodLen = 127
	// MaxBody is the largest bodyLen the original protocol allows by default: 64 MiB less a header.
	MaxBody = 64<<20 - HeaderLen
)

// Cmd is the command byte of a frame: the command in the low six bits, and on
// stream frames the bits Opener and Last.
type Cmd byte

// The commands. Cancel, Credit and Confirm are used only where both ends agreed to them.
const (
	Request  Cmd = 1
	Response Cmd = 2
	Notify   Cmd = 3
	Ping     Cmd = 4
	Pong     Cmd = 5
	Stream   Cmd = 6
	Cancel   Cmd = 7
	Credit   Cmd = 8
	Confirm  Cmd = 9

	// Opener is set in every frame that the side which opened a stream sends on it.
	Opener Cmd = 1 << 7
	// Last marks the last frame of one direction of a stream.
	Last Cmd = 1 << 6

	commandMask Cmd = 1<<6 - 1
)

// Command is the command without its stream bits.
func (c Cmd) Command() Cmd { return c & commandMask }

// methodRule says whether a command carries a method.
type methodRule byte

const (
	methodFree methodRule = iota // an unknown command: nothing is known of its method
	methodNever
	methodAlways
)

func (c Cmd) methodRule() methodRule {
	switch c.Command() {
	case Request, Response, Notify, Stream:
		return methodAlways
	case Ping, Pong, Cancel, Credit, Confirm:
		return methodNever
	}
	return methodFree
}

// Flags is the flag byte of a frame.
type Flags byte

const (
	// Error says that the body is the text of an error.
	Error Flags = 1 << 0
	// Async is set by a caller that does not wait; the responder copies it.
	Async Flags = 1 << 1
	// Structured, with Error, says that the body is the JSON object {code, message, data?}.
	Structured Flags = 1 << 2
	// Outside marks a frame that a session neither counts nor keeps for replay.
	Outside Flags = 1 << 3

	kindShift       = 4
	kindMask  Flags = 3 << kindShift
)

// Kind says what a body is. Originals neither set nor read it.
type Kind byte

const (
	// Unknown is a body whose sender did not say; empty, it is nil.
	Unknown Kind = 0
	// Text is a UTF-8 string.
	Text Kind = 1
	// Bytes is binary data.
	Bytes Kind = 2
	// Value is a value encoded by the codec.
	Value Kind = 3
)

// Kind is the kind of the body.
func (f Flags) Kind() Kind { return Kind(f & kindMask >> kindShift) }

// WithKind returns f with the kind of the body set to k.
func (f Flags) WithKind(k Kind) Flags { return f&^kindMask | Flags(k)<<kindShift&kindMask }

// Header is the fixed part of a frame.
type Header struct {
	// BodyLen counts the bytes after the header: method and body.
	BodyLen uint32
	// Coders has one bit for each coder that transformed the frame. If it is
	// not zero, all but BodyLen is to be read after decoding.
	Coders byte
	// Cmd is the command with its stream bits.
	Cmd Cmd
	// Flags describe the body.
	Flags Flags
	// MethodLen is the length of the method in bytes.
	MethodLen byte
	// Seq is echoed by responders, never computed with.
	Seq uint64
}

// ParseHeader reads the header at the start of b, which holds at least HeaderLen bytes.
func ParseHeader(b []byte) Header {
	_ = b[HeaderLen-1]
	return Header{
		BodyLen:   binary.LittleEndian.Uint32(b),
		Coders:    b[4],
		Cmd:       Cmd(b[5]),
		Flags:     Flags(b[6]),
		MethodLen: b[7],
		Seq:       binary.LittleEndian.Uint64(b[8:]),
	}
}

// Append appends the 16 bytes of h to dst.
func (h Header) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, h.BodyLen)
	dst = append(dst, h.Coders, byte(h.Cmd), byte(h.Flags), h.MethodLen)
	return binary.LittleEndian.AppendUint64(dst, h.Seq)
}

// check holds the rules of an uncoded frame that the header alone can break.
func (h Header) check() error {
	if h.MethodLen > MaxMethodLen {
		return &FrameError{Reason: MethodTooLong, Got: uint64(h.MethodLen), Limit: MaxMethodLen}
	}
	if uint32(h.MethodLen) > h.BodyLen {
		return &FrameError{Reason: MethodOverrun, Got: uint64(h.MethodLen), Limit: uint64(h.BodyLen)}
	}
	switch rule := h.Cmd.methodRule(); {
	case rule == methodAlways && h.MethodLen == 0:
		return &FrameError{Reason: MethodMissing}
	case rule == methodNever && h.MethodLen != 0:
		return &FrameError{Reason: MethodUnexpected, Got: uint64(h.MethodLen)}
	}
	if h.Cmd.Command() == Stream && h.Seq == 0 {
		return &FrameError{Reason: StreamZero}
	}
	if h.Flags&(Error|Structured) == Structured {
		return &FrameError{Reason: FlagsInvalid, Got: uint64(h.Flags)}
	}
	return nil
}

// Frame is one frame. After Decoder.Next its slices point into the decoder's
// buffer and hold until the decoder is used again.
type Frame struct {
	Header
	// Method and Body are set only where Coders is zero.
	Method []byte
	Body   []byte
	// Raw is the whole frame, header included: what a coder transforms.
	Raw []byte
}

// Split reads a whole, uncoded frame: raw is header, method and body, no more
// and no less. It is how a frame is read again after its coders ran.
func Split(raw []byte) (Frame, error) {
	if len(raw) < HeaderLen {
		return Frame{}, &FrameError{Reason: Truncated, Got: uint64(len(raw)), Limit: HeaderLen}
	}
	h := ParseHeader(raw)
	if uint64(h.BodyLen) != uint64(len(raw)-HeaderLen) {
		return Frame{}, &FrameError{Reason: Truncated, Got: uint64(len(raw) - HeaderLen), Limit: uint64(h.BodyLen)}
	}
	if err := h.check(); err != nil {
		return Frame{}, err
	}
	f := Frame{Header: h, Raw: raw}
	if err := f.split(); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// split cuts Raw, whose header passed its checks, into method and body.
func (f *Frame) split() error {
	bodyAt := HeaderLen + int(f.MethodLen)
	f.Method, f.Body = f.Raw[HeaderLen:bodyAt:bodyAt], f.Raw[bodyAt:]
	if !utf8.Valid(f.Method) {
		return &FrameError{Reason: MethodNotUTF8}
	}
	return nil
}

// Append appends a whole frame to dst. BodyLen and MethodLen are set from
// method and body; the other fields of h are taken as they are. The caller has
// checked the method with CheckMethod.
func Append(dst []byte, h Header, method string, body []byte) []byte {
	h.BodyLen = uint32(len(method) + len(body))
	h.MethodLen = byte(len(method))
	dst = h.Append(dst)
	dst = append(dst, method...)
	return append(dst, body...)
}

// Begin appends a header and a method; what the caller appends next is the
// body, until Finish.
func Begin(dst []byte, h Header, method string) []byte {
	return Append(dst, h, method, nil)
}

// Finish sets bodyLen of the frame that was begun at frame[0] and ends where frame does.
func Finish(frame []byte) {
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-HeaderLen))
}

// SetSeq writes the seq of the frame that starts at frame[0].
func SetSeq(frame []byte, seq uint64) {
	binary.LittleEndian.PutUint64(frame[8:], seq)
}

// CheckMethod says whether a method can be sent: 1 to 127 bytes of valid UTF-8.
func CheckMethod(method string) error {
	switch {
	case method == "":
		return &FrameError{Reason: MethodMissing}
	case len(method) > MaxMethodLen:
		return &FrameError{Reason: MethodTooLong, Got: uint64(len(method)), Limit: MaxMethodLen}
	case !utf8.ValidString(method):
		return &FrameError{Reason: MethodNotUTF8}
	}
	return nil
}
