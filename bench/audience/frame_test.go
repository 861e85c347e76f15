package audience

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// serverFrame is a frame as servers send them: without a mask.
func serverFrame(opcode byte, payload []byte) []byte {
	frame := []byte{finBit | opcode}
	switch n := len(payload); {
	case n <= 125:
		frame = append(frame, byte(n))
	case n <= 1<<16-1:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(n))
	}
	return append(frame, payload...)
}

func TestFramesAreCutWhenTheyAreWhole(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16} {
		payload := bytes.Repeat([]byte("x"), n)
		frame := serverFrame(Binary, payload)
		for _, part := range []int{0, 1, 2, 3, 5, len(frame) - 1} {
			if part >= len(frame) {
				continue
			}
			if _, ok, err := cut(frame[:part]); ok || err != nil {
				t.Errorf("%d of %d bytes: ok %v, %v", part, len(frame), ok, err)
			}
		}
		m, ok, err := cut(append(bytes.Clone(frame), "next"...))
		if err != nil || !ok || m.opcode != Binary || m.size != len(frame) || !bytes.Equal(m.payload, payload) {
			t.Errorf("payload of %d bytes: got %d, ok %v, %v", n, len(m.payload), ok, err)
		}
	}
}

func TestFramesThatNobodyShouldSendAreRefused(t *testing.T) {
	for name, frame := range map[string][]byte{
		"first fragment": {Binary, 0},
		"continuation":   {finBit, 0},
		"masked":         appendFrame(nil, Text, nil),
		"huge":           {finBit | Binary, 127, 0, 0, 0, 1, 0, 0, 0, 0},
		"over 2^63":      {finBit | Binary, 127, 255, 255, 255, 255, 255, 255, 255, 255},
	} {
		if _, _, err := cut(frame); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
