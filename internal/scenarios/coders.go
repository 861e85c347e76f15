package scenarios

import (
	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/coder/aead"
	"github.com/seed-fbfaa03e/arpc/coder/gzip"
	"github.com/seed-fbfaa03e/arpc/coder/trace"
)

// compressFrom is the length from which frames are compressed: most of the table's.
const compressFrom = 64

// UseCoders adds every coder to a handler, in order, with a key that all ends
// have: 32 zeros. Whoever plays the table through them sees no difference.
func UseCoders(h *arpc.Handler) {
	encryption, err := aead.New(make([]byte, aead.KeyLen))
	if err != nil {
		panic(err) // the key has its length
	}
	h.UseCoder(trace.New())
	h.UseCoder(gzip.New(compressFrom))
	h.UseCoder(encryption)
}
