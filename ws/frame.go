package ws

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
)

// IsClose reports whether a frame is a close frame.
func IsClose(frame []byte) bool { return len(frame) > 0 && frame[0] == finClose }

const (
	finBinary = 0x80 | 2
	finClose  = 0x80 | 8

	maskBit       = 0x80
	maxHeader     = 14
	maxCloseWords = 123
)

// AppendMessage appends payload to dst as one binary message.
func (c *Conn) AppendMessage(dst, payload []byte) []byte {
	return c.Wrap(append(dst, payload...), len(dst))
}

// Wrap makes one binary message of buf[start:], in place, and returns buf.
func (c *Conn) Wrap(buf []byte, start int) []byte {
	return c.wrap(buf, start, finBinary)
}

// AppendClose appends a close frame. A reason over 123 bytes is cut, between
// characters: one that is not UTF-8 would be an error of its own.
func (c *Conn) AppendClose(dst []byte, code int, reason string) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	dst = append(dst, strings.ToValidUTF8(reason[:min(len(reason), maxCloseWords)], "")...)
	return c.wrap(dst, start, finClose)
}

func (c *Conn) wrap(buf []byte, start int, opcode byte) []byte {
	n := len(buf) - start
	var space [maxHeader]byte
	header := append(space[:0], opcode)
	switch {
	case n <= 125:
		header = append(header, byte(n))
	case n <= 1<<16-1:
		header = binary.BigEndian.AppendUint16(append(header, 126), uint16(n))
	default:
		header = binary.BigEndian.AppendUint64(append(header, 127), uint64(n))
	}
	var key uint32
	if c.masked {
		key = rand.Uint32()
		header[1] |= maskBit
		header = binary.LittleEndian.AppendUint32(header, key)
	}
	buf = append(buf, header...) // room for the header; what it holds is overwritten
	payload := buf[start+len(header):]
	copy(payload, buf[start:start+n])
	copy(buf[start:], header)
	if c.masked {
		mask(key, payload)
	}
	return buf
}

// mask XORs b with the key, eight bytes at a time.
func mask(key uint32, b []byte) {
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * (i % 4)))
	}
}
