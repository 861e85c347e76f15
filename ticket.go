package arpc

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// secret is what a ticket proves with.
type secret [32]byte

// tickets are the secrets that a session can be taken up with: the one that was
// used last, as long as the next may not have arrived, and the next.
type tickets struct {
	accepted, offered secret
	both              bool // accepted is still good
}

// newSessionID is a name for a session, which is no secret.
func newSessionID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// offer makes the next ticket of a session. The one before stays good until this
// one has arrived.
func (t *tickets) offer(id string) string {
	_, _ = rand.Read(t.offered[:]) // it never fails
	return id + "." + base64.RawURLEncoding.EncodeToString(t.offered[:])
}

// good is true for the secret of a ticket that is good.
func (t *tickets) good(shown secret) bool {
	return subtle.ConstantTimeCompare(shown[:], t.offered[:]) == 1 ||
		t.both && subtle.ConstantTimeCompare(shown[:], t.accepted[:]) == 1
}

// use takes a good ticket. The one that was offered arrived, if it is that, and
// takes the place of the other.
func (t *tickets) use(shown secret) { t.accepted, t.both = shown, true }

// arrived says that the peer has the ticket that was offered.
func (t *tickets) arrived() { t.accepted, t.both = t.offered, false }

// splitTicket is what a ticket says: whose it is, and the proof.
func splitTicket(ticket string) (id string, shown secret, ok bool) {
	id, proof, found := strings.Cut(ticket, ".")
	if !found || base64.RawURLEncoding.DecodedLen(len(proof)) != len(shown) {
		return "", secret{}, false
	}
	_, err := base64.RawURLEncoding.Decode(shown[:], []byte(proof))
	return id, shown, err == nil
}
