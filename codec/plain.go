package codec

import "encoding/binary"

// Where a byte needs more than to be copied.
const (
	inString = 1 << iota // in a JSON string: quotes, backslashes, controls, non-ASCII
	inText               // and in a text that becomes one: what HTML would read, too
)

// textClass says of each byte where it is not plain.
var textClass = func() (class [256]byte) {
	for i := range class {
		c := byte(i)
		switch {
		case c < ' ' || c == '"' || c == '\\' || c >= 0x80:
			class[c] = inString | inText
		case c == '<' || c == '>' || c == '&':
			class[c] = inText
		}
	}
	return class
}()

const (
	everyByte = 0x0101010101010101
	highBits  = 0x80 * everyByte
)

// below is not zero if a byte of x is less than c, which is at most 0x80, or has
// its high bit set.
func below(x uint64, c uint64) uint64 { return (x - c*everyByte | x) & highBits }

// has is not zero if a byte of x is c, and x has no high bits.
func has(x uint64, c uint64) uint64 { return below(x^c*everyByte, 1) }

// plainString is how many bytes at the start of b are plain in a JSON string.
// It looks at eight of them at a time.
func plainString(b []byte) int {
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		if below(x, ' ')|has(x, '"')|has(x, '\\') != 0 {
			break
		}
	}
	for n < len(b) && textClass[b[n]]&inString == 0 {
		n++
	}
	return n
}

// plainText is the same for a text that becomes a JSON string.
func plainText(b []byte) int {
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		// '<' and '>' differ in one bit.
		if below(x, ' ')|has(x, '"')|has(x, '\\')|has(x&^(2*everyByte), '<')|has(x, '&') != 0 {
			break
		}
	}
	for n < len(b) && textClass[b[n]]&inText == 0 {
		n++
	}
	return n
}
