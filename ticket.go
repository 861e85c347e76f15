package arpc

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// sessionID is the name of a session, which is no secret.
type sessionID [16]byte

// secret is what a ticket proves with.
type secret [32]byte

// tickets are the secrets that a session can be taken up with: the one that was
// used last, as long as the next may not have arrived, and the next.
type tickets struct {
	accepted *secret // nil if it is not good any more
	offered  secret
}

func newSessionID() (id sessionID) {
	_, _ = rand.Read(id[:]) // it never fails
	return id
}

// offer makes the next ticket of a session. The one before stays good until this
// one has arrived.
func (t *tickets) offer(id sessionID) string {
	_, _ = rand.Read(t.offered[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(id[:]) + "." + base64.RawURLEncoding.EncodeToString(t.offered[:])
}

// good is true for the secret of a ticket that is good.
func (t *tickets) good(shown secret) bool {
	return subtle.ConstantTimeCompare(shown[:], t.offered[:]) == 1 ||
		t.accepted != nil && subtle.ConstantTimeCompare(shown[:], t.accepted[:]) == 1
}

// use takes a good ticket. The one that was offered arrived, if it is that, and
// takes the place of the other.
func (t *tickets) use(shown secret) { t.accepted = &shown }

// arrived says that the peer has the ticket that was offered.
func (t *tickets) arrived() { t.accepted = nil }

// splitTicket is what a ticket says: whose it is, and the proof.
func splitTicket(ticket string) (id sessionID, shown secret, ok bool) {
	name, proof, found := strings.Cut(ticket, ".")
	return id, shown, found && decodeAll(id[:], name) && decodeAll(shown[:], proof)
}

// decodeAll decodes what fills dst, and nothing else.
func decodeAll(dst []byte, text string) bool {
	if base64.RawURLEncoding.DecodedLen(len(text)) != len(dst) {
		return false
	}
	n, err := base64.RawURLEncoding.Decode(dst, []byte(text))
	return n == len(dst) && err == nil
}
