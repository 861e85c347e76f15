// Package aead encrypts frames with AES-256-GCM and a key that both ends have.
//
// Bytes 4 to 7 of a frame, its coders, command, flags and method's length, stay
// readable and cannot be changed; everything behind them, the method included, can
// be neither read nor changed. The length of a frame shows.
//
//	offset  size      field
//	0       4         bodyLen
//	4       4         bytes 4 to 7 of the frame with the bit set: the associated data
//	8       12        nonce, random in each frame
//	20      8 + n     ciphertext of seq, method and body
//	28 + n  16        tag
//
// It does not replace TLS: the key is as secret as the place it is kept in, what was
// recorded can be read by whoever gets it later, and a frame that is sent a second
// time, or back to where it came from, is as good as the first. It is for what
// passes through others who must not read it. A key is 32 random bytes, never a
// password, and known to one pair of parties; it comes from the environment or a
// secret store, and is replaced before 2^32 frames: give New the new one first and
// the old one behind it, at both ends, and take the old one away when nobody uses
// it any more.
//
// Handler.UseCoder adds it to the connections of a Handler, behind what compresses.
// Every frame but pings and pongs is encrypted then, hello included, and a
// connection on which one comes in plain ends.
package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-fbfaa03e/arpc/wire"
)

const (
	// Bit is the bit of an encrypted frame in wire.Header.Coders.
	Bit byte = 1 << 6
	// KeyLen is the length of a key, in bytes.
	KeyLen = 32
	// Overhead is how much longer a frame becomes, in bytes.
	Overhead = 12 + 16
	// maxFrames is how many random nonces one key is good for.
	maxFrames = 1 << 32
)

const (
	dataAt   = 4 // where the associated data begins
	secretAt = 8 // and where it ends
)

// ErrKeyUsedUp is returned by Encode after 2^32 frames: the next could have the
// nonce of another.
var ErrKeyUsedUp = errors.New("encrypt: the key has had 2^32 frames")

// Coder encrypts frames. It is safe for concurrent use, and never changes the
// bytes that it is given.
type Coder struct {
	keys   []cipher.AEAD // the first encrypts, any decrypts
	frames atomic.Uint64 // encrypted
}

// New returns a Coder that encrypts with a key, and decrypts with it or one of the
// previous ones. A key has 32 bytes.
func New(key []byte, previous ...[]byte) (*Coder, error) {
	c := &Coder{}
	for _, k := range append([][]byte{key}, previous...) {
		if len(k) != KeyLen {
			return nil, fmt.Errorf("encrypt: a key of %d bytes, it must have %d", len(k), KeyLen)
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		c.keys = append(c.keys, gcm)
	}
	return c, nil
}

// Name is the name of the coder in a hello.
func (c *Coder) Name() string { return "aead" }

// Always says that frames that are not encrypted are not taken.
func (c *Coder) Always() bool { return true }

// Bit is the bit that marks what it encoded.
func (c *Coder) Bit() byte { return Bit }

// Encode appends a frame to dst as it goes on the wire. It fails with ErrKeyUsedUp.
func (c *Coder) Encode(dst, frame []byte) ([]byte, error) {
	if len(frame) < wire.HeaderLen {
		return dst, &wire.FrameError{Reason: wire.Truncated, Got: uint64(len(frame)), Limit: wire.HeaderLen}
	}
	if c.frames.Add(1) > maxFrames {
		return dst, ErrKeyUsedUp
	}
	start := len(dst)
	out := append(dst, frame[:secretAt]...)
	out[start+dataAt] |= Bit
	data := [secretAt - dataAt]byte(out[start+dataAt:])
	out = c.keys[0].Seal(out, nil, frame[secretAt:], data[:])
	wire.Finish(out[start:])
	return out, nil
}

// Decode appends the frame that was encrypted to dst, without the bit. It is an
// error if that has more than maxBody bytes behind its header, which is looked at
// first, or if no key fits, whatever else is wrong. dst is returned unchanged then.
func (c *Coder) Decode(dst, frame []byte, maxBody int) ([]byte, error) {
	switch {
	case len(frame) < wire.HeaderLen+Overhead:
		return dst, &wire.FrameError{Reason: wire.Truncated, Got: uint64(len(frame)), Limit: wire.HeaderLen + Overhead}
	case frame[dataAt]&Bit == 0:
		return dst, errors.New("decrypt: the frame is not encrypted")
	case len(frame)-Overhead-wire.HeaderLen > maxBody:
		return dst, &wire.FrameError{Reason: wire.BodyTooLong, Got: uint64(len(frame) - Overhead - wire.HeaderLen), Limit: uint64(maxBody)}
	}
	start := len(dst)
	head := append(dst, frame[:secretAt]...)
	for _, key := range c.keys {
		out, err := key.Open(head, nil, frame[secretAt:], frame[dataAt:secretAt])
		if err == nil {
			out[start+dataAt] &^= Bit
			wire.Finish(out[start:])
			return out, nil
		}
	}
	return dst, errors.New("decrypt: no key fits")
}
