// Package rawframe is the frame once more, for tests that take nobody's word for
// it: it was written from the table of the header, 16 bytes little-endian, then
// method and body, and shares no code with the project.
package rawframe

import (
	"encoding/binary"
	"fmt"
	"io"
)

// HeaderLen is how many bytes of a frame are in front of its method.
const HeaderLen = 16

// What a frame is.
const (
	CmdRequest  = 1
	CmdResponse = 2
	CmdNotify   = 3
	CmdPing     = 4
	CmdPong     = 5
	CmdConfirm  = 9
)

// Its flags.
const (
	FlagError   = 1 << 0
	FlagAsync   = 1 << 1
	FlagOutside = 1 << 3
	KindText    = 1 << 4
)

// A Frame is what one peer sends to another.
type Frame struct {
	Cmd, Flags   byte
	Seq          uint64
	Method, Body string
}

// Request is a request.
func Request(flags byte, seq uint64, method, body string) Frame {
	return Frame{CmdRequest, flags, seq, method, body}
}

// Response is the answer to a request of that seq and method.
func Response(flags byte, seq uint64, method, body string) Frame {
	return Frame{CmdResponse, flags, seq, method, body}
}

// Notify is a notify.
func Notify(flags byte, seq uint64, method, body string) Frame {
	return Frame{CmdNotify, flags, seq, method, body}
}

func (f Frame) String() string {
	return fmt.Sprintf("cmd %d flags %#02x seq %d %q %d bytes %.40q", f.Cmd, f.Flags, f.Seq, f.Method, len(f.Body), f.Body)
}

// Append appends the bytes of frames.
func Append(b []byte, frames ...Frame) []byte {
	for _, f := range frames {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Method)+len(f.Body)))
		b = append(b, 0, f.Cmd, f.Flags, byte(len(f.Method)))
		b = binary.LittleEndian.AppendUint64(b, f.Seq)
		b = append(append(b, f.Method...), f.Body...)
	}
	return b
}

// Read reads one frame of a byte stream.
func Read(from io.Reader) (Frame, error) {
	var h [HeaderLen]byte
	if _, err := io.ReadFull(from, h[:]); err != nil {
		return Frame{}, err
	}
	size, methodLen := binary.LittleEndian.Uint32(h[:]), uint32(h[7])
	if size > 64<<20 || methodLen > size || h[4] != 0 {
		return Frame{}, fmt.Errorf("bad header %x", h)
	}
	rest := make([]byte, size)
	if _, err := io.ReadFull(from, rest); err != nil {
		return Frame{}, err
	}
	return Frame{h[5], h[6], binary.LittleEndian.Uint64(h[8:]), string(rest[:methodLen]), string(rest[methodLen:])}, nil
}
