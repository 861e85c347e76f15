package arpc

import (
	"context"
	"math/bits"
	"slices"
	"sync"
)

// Coder transforms whole frames, header, method and body, on their way to the
// wire and from it: compresses them, encrypts them, adds to them. Bytes 0 to 3
// of a frame hold the number of bytes behind the header, byte 4 a bit for each
// coder that transformed it. All but the length and these bits may be anything
// once a coder ran.
//
// A frame is encoded once, also where many get it, so what Encode makes depends
// on nothing but the frame. Both methods are called from many goroutines at once,
// must not change or keep the frame that they are given, and append to dst. What
// they fail with ends the connection.
//
// A Coder may have these methods too:
//
//   - Always() bool: it has every frame but pings and pongs, hello included, and
//     a connection on which one comes without ends.
//   - AgreedOnly() bool: it has none towards peers that say no hello.
//   - those of ContextCoder.
//   - that of ConnCoder, if what it makes depends on the connection.
type Coder interface {
	// Name is its name in hello, the same at both ends.
	Name() string
	// Bit is its bit in the byte of the coders, and no other coder's.
	Bit() byte
	// Encode appends a frame as it goes on the wire: with the bit set, or as it is.
	Encode(dst, frame []byte) ([]byte, error)
	// Decode appends the frame that it was before, without the bit. One with more
	// than maxBody bytes of method and body is an error, found in good time.
	Decode(dst, frame []byte, maxBody int) ([]byte, error)
}

// ContextCoder is a Coder that carries something of the context of a call or
// notify to the Context of its handler.
type ContextCoder interface {
	Coder
	// EncodeContext is Encode for what CallWith or NotifyWith sends with ctx.
	EncodeContext(ctx context.Context, dst, frame []byte) ([]byte, error)
	// DecodeContext is Decode that also returns what is to be Set in the Context
	// of the frame; a nil key sets nothing.
	DecodeContext(dst, frame []byte, maxBody int) (out []byte, key, value any, err error)
}

// ConnCoder is a Coder with a state for each connection: a cipher that counts, a
// compressor that remembers what it has sent. Where others run once, when a frame is
// made, it runs when the frame leaves, behind them, on each connection again.
type ConnCoder interface {
	Coder
	// PerConnection returns the coder of a new connection, of the same name and bit.
	// Its Encode gets the frames in the order in which they leave, its Decode in the
	// order in which they came; each is called by one goroutine at a time, but the two
	// may run at once. EncodeContext is not called.
	PerConnection() Coder
}

// UseCoder adds a coder for connections that are made later; one of the same
// name takes the place of the one before. A frame goes through the coders in the
// order in which they were added, and at the other end, which has to add them in
// the same order, backwards: compression comes before encryption.
//
// A coder is used where both ends name it in hello, from the frame behind hello's
// answer on, and towards peers that say no hello, where it is for the application
// to know that they have it too. It panics if the coder has no name or no bit of
// its own, or if it is no ConnCoder and comes behind one.
func (h *Handler) UseCoder(c Coder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Name() == "" || bits.OnesCount8(c.Bit()) != 1 {
		panic("arpc: use coder " + c.Name() + ": it needs a name and one bit")
	}
	next := &coderSet{chains: map[byte]*chain{}}
	if old := h.coders.Load(); old != nil {
		next.list = slices.Clone(old.list)
	}
	at := slices.IndexFunc(next.list, func(o Coder) bool { return o.Name() == c.Name() })
	if at >= 0 {
		next.list[at] = c
	} else {
		next.list = append(next.list, c)
	}
	for _, c := range next.list {
		if next.bits&c.Bit() != 0 {
			panic("arpc: use coder " + c.Name() + ": another has its bit")
		}
		next.bits |= c.Bit()
		if _, ok := c.(ConnCoder); ok {
			next.late |= c.Bit()
		} else if next.late != 0 {
			panic("arpc: use coder " + c.Name() + ": it has to come before those that run on each connection")
		}
		if says(c, func(c alwaysCoder) bool { return c.Always() }) {
			next.always |= c.Bit()
		}
		if !says(c, func(c agreedCoder) bool { return c.AgreedOnly() }) {
			next.base |= c.Bit()
		}
	}
	h.coders.Store(next)
}

type (
	alwaysCoder interface{ Always() bool }
	agreedCoder interface{ AgreedOnly() bool }
)

// says asks a coder, if it has a word for it.
func says[T any](c Coder, ask func(T) bool) bool {
	t, ok := c.(T)
	return ok && ask(t)
}

// coderSet are the coders of a Handler. It is never changed once it is published.
type coderSet struct {
	list   []Coder
	bits   byte // of all
	always byte // of those that have every frame
	base   byte // of those for peers that say no hello
	late   byte // of those that connections have for themselves

	mu     sync.Mutex
	chains map[byte]*chain // by the bits of their coders
}

// names are those for hello.
func (s *coderSet) names() []string {
	names := []string{}
	if s == nil {
		return names
	}
	for _, c := range s.list {
		names = append(names, c.Name())
	}
	return names
}

// common are the bits of the coders that are among the names.
func (s *coderSet) common(names []string) (agreed byte) {
	for _, c := range s.list {
		if slices.Contains(names, c.Name()) {
			agreed |= c.Bit()
		}
	}
	return agreed
}

// namesOf are the names of bits, in the order of the chain.
func (s *coderSet) namesOf(agreed byte) []string {
	names := []string{}
	for _, c := range s.list {
		if agreed&c.Bit() != 0 {
			names = append(names, c.Name())
		}
	}
	return names
}

// chain is the one for coders by their bits, but for those that connections have for
// themselves; nil for none. All connections of the
// Handler share it, and what it remembers.
func (s *coderSet) chain(used byte) *chain {
	if used &^= s.late; used == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.chains[used]
	if ch == nil {
		ch = &chain{shared: map[*byte]*sharedFrame{}}
		for _, c := range s.list {
			if used&c.Bit() != 0 {
				ch.coders = append(ch.coders, c)
			}
		}
		s.chains[used] = ch
	}
	return ch
}
