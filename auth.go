package arpc

import (
	"context"
	"net/http"
	"time"
)

// CredentialSource says where credentials come from.
type CredentialSource string

// The sources of credentials.
const (
	FromUpgrade  CredentialSource = "upgrade"  // the HTTP request a WebSocket began with
	FromHello    CredentialSource = "hello"    // the token in a hello
	FromPassword CredentialSource = "password" // the password of a base peer, from in_A
	FromRefresh  CredentialSource = "refresh"  // a token sent while connected
)

// Credentials are what a peer shows to say who it is.
type Credentials struct {
	// Source says where they come from.
	Source CredentialSource
	// Request is the request that came over HTTP, or the upgrade request, if there was
	// one: with its cookies and headers, but those that only the handshake needed.
	Request *http.Request
	// Token is the token or password; "" with FromUpgrade.
	Token string
	// Client is the peer.
	Client *Client
}

// Identity is who a peer is.
type Identity struct {
	// ID names the user; the connections of one user share it.
	ID string
	// Expires is when the peer is no longer believed; zero is never. Unless a
	// new token comes in time, the connection ends then.
	Expires time.Time
	// Info is for the application.
	Info any
}

// AuthenticateFunc says who a peer is, or why it is not let in. It is asked for
// each source of credentials the peer comes with; with FromUpgrade, nil and no
// error means that the request alone does not tell. An *Error reaches the peer
// as it is, any other error as unauthenticated without a word more.
type AuthenticateFunc func(ctx context.Context, cr Credentials) (*Identity, error)

// HandleAuthenticate requires an identity of every peer that connects. Until a
// peer has one it may say hello, send a password, ping and pong; it has FirstFrame
// and eight frames for it. Connected hooks run, and the peer is counted and
// reached by broadcasts, only after that.
//
// f runs on the goroutine that reads the connection and may block.
func (h *Handler) HandleAuthenticate(f AuthenticateFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.authenticate = f
}

func (h *Handler) authenticator() AuthenticateFunc {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.authenticate
}
