package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDepth is how deep arrays and maps may be in each other. The decoder
// recurses, and a stack that is too deep ends the process.
const maxDepth = 64

var errShort = errors.New("a value goes on behind the end")

// check says whether data is one MessagePack value, with what its lengths promise
// in it. It allocates nothing.
func check(data []byte) error {
	var left [maxDepth + 1]uint64 // values to come, on each level
	depth := 0
	left[0] = 1
	for {
		for left[depth] == 0 {
			if depth == 0 {
				return checkEnd(data)
			}
			depth--
		}
		left[depth]--
		rest, values, err := next(data)
		switch {
		case err != nil:
			return err
		case values > uint64(len(rest)):
			return errShort
		case values > 0 && depth == maxDepth:
			return fmt.Errorf("more than %d levels deep", maxDepth)
		}
		if data = rest; values > 0 {
			depth++
			left[depth] = values
		}
	}
}

func checkEnd(data []byte) error {
	if len(data) > 0 {
		return fmt.Errorf("%d bytes behind the value", len(data))
	}
	return nil
}

// A form is what a leading byte says: how many bytes of length follow it, how many
// more bytes there are for certain, and what the length counts.
type form struct {
	length int
	bytes  uint64
	counts byte // 'b' bytes, 'v' values, 'p' pairs of them; 0 for no length
}

// forms are those of the leading bytes from 0xc0 to 0xdf.
var forms = [32]form{
	0xc4 - 0xc0: {1, 0, 'b'}, 0xc5 - 0xc0: {2, 0, 'b'}, 0xc6 - 0xc0: {4, 0, 'b'}, // bin
	0xc7 - 0xc0: {1, 1, 'b'}, 0xc8 - 0xc0: {2, 1, 'b'}, 0xc9 - 0xc0: {4, 1, 'b'}, // ext
	0xca - 0xc0: {0, 4, 0}, 0xcb - 0xc0: {0, 8, 0}, // float
	0xcc - 0xc0: {0, 1, 0}, 0xcd - 0xc0: {0, 2, 0}, 0xce - 0xc0: {0, 4, 0}, 0xcf - 0xc0: {0, 8, 0}, // uint
	0xd0 - 0xc0: {0, 1, 0}, 0xd1 - 0xc0: {0, 2, 0}, 0xd2 - 0xc0: {0, 4, 0}, 0xd3 - 0xc0: {0, 8, 0}, // int
	0xd4 - 0xc0: {0, 2, 0}, 0xd5 - 0xc0: {0, 3, 0}, 0xd6 - 0xc0: {0, 5, 0}, 0xd7 - 0xc0: {0, 9, 0}, 0xd8 - 0xc0: {0, 17, 0}, // fixext
	0xd9 - 0xc0: {1, 0, 'b'}, 0xda - 0xc0: {2, 0, 'b'}, 0xdb - 0xc0: {4, 0, 'b'}, // str
	0xdc - 0xc0: {2, 0, 'v'}, 0xdd - 0xc0: {4, 0, 'v'}, // array
	0xde - 0xc0: {2, 0, 'p'}, 0xdf - 0xc0: {4, 0, 'p'}, // map
}

// next takes the head of a value, and the whole of one that holds no others. values
// is how many values it holds.
func next(data []byte) (rest []byte, values uint64, err error) {
	if len(data) == 0 {
		return nil, 0, errShort
	}
	lead, rest := data[0], data[1:]
	switch {
	case lead < 0x80 || lead >= 0xe0: // fixint
		return rest, 0, nil
	case lead < 0x90: // fixmap
		return rest, 2 * uint64(lead&0x0f), nil
	case lead < 0xa0: // fixarray
		return rest, uint64(lead & 0x0f), nil
	case lead < 0xc0: // fixstr
		return skip(rest, uint64(lead&0x1f))
	case lead == 0xc1:
		return nil, 0, errors.New("the byte 0xc1 begins no value")
	}
	f := forms[lead-0xc0]
	if len(rest) < f.length {
		return nil, 0, errShort
	}
	var head [8]byte
	copy(head[8-f.length:], rest[:f.length])
	n := binary.BigEndian.Uint64(head[:])
	rest = rest[f.length:]
	switch f.counts {
	case 'v':
		return rest, n, nil
	case 'p':
		return rest, 2 * n, nil
	}
	return skip(rest, f.bytes+n)
}

func skip(data []byte, n uint64) (rest []byte, values uint64, err error) {
	if n > uint64(len(data)) {
		return nil, 0, errShort
	}
	return data[n:], 0, nil
}
