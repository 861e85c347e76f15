package audience

import (
	"encoding/binary"
	"fmt"
)

// Opcodes of RFC 6455.
const (
	Text   byte = 1
	Binary byte = 2

	opClose byte = 8
	opPing  byte = 9
	opPong  byte = 10
)

const (
	finBit, maskBit = 0x80, 0x80
	opcodeMask      = 0x0f
	maskKeyLen      = 4
)

// message is one frame of a server: here that is a whole message, because none
// of those that are measured sends fragments.
type message struct {
	opcode  byte
	payload []byte
	size    int // bytes of the frame
}

// cut takes the first frame off what was received; ok is false if it is not
// whole yet.
func cut(b []byte) (m message, ok bool, err error) {
	if len(b) < 2 {
		return message{}, false, nil
	}
	if b[0]&finBit == 0 || b[0]&opcodeMask == 0 || b[1]&maskBit != 0 {
		return message{}, false, fmt.Errorf("frame begins with %x: it is a fragment, or masked", b[:2])
	}
	header, length := 2, int(b[1])
	switch {
	case length == 126 && len(b) >= 4:
		header, length = 4, int(binary.BigEndian.Uint16(b[2:]))
	case length == 127 && len(b) >= 10:
		header, length = 10, int(binary.BigEndian.Uint64(b[2:]))
	case length > 125:
		return message{}, false, nil
	}
	size := header + length
	if size < header || size > maxFrame {
		return message{}, false, fmt.Errorf("frame of %d bytes, at most %d are expected", size, maxFrame)
	}
	if len(b) < size {
		return message{}, false, nil
	}
	return message{b[0] & opcodeMask, b[header:size], size}, true, nil
}

// appendFrame appends a frame of a client. Its masking key is zero: what the
// key is for, keeping proxies from being fooled, is of no use here.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, finBit|opcode)
	switch n := len(payload); {
	case n <= 125:
		dst = append(dst, maskBit|byte(n))
	case n <= 1<<16-1:
		dst = binary.BigEndian.AppendUint16(append(dst, maskBit|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, maskBit|127), uint64(n))
	}
	dst = append(dst, make([]byte, maskKeyLen)...)
	return append(dst, payload...)
}
