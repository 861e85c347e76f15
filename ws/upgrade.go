package ws

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// writeBuffers is shared by all connections: gorilla writes control frames only.
var writeBuffers = &sync.Pool{}

// UpgradeOptions are the settings of one upgrade.
type UpgradeOptions struct {
	Limits
	// HandshakeTimeout bounds the writing of the answer. Zero is for ever.
	HandshakeTimeout time.Duration
	// CheckOrigin says whether a request may be upgraded. It is called for
	// every request; nil accepts SameOrigin ones.
	CheckOrigin func(*http.Request) bool
	// Subprotocols are those the server speaks, the preferred first.
	Subprotocols []string
}

// Upgrade answers a WebSocket handshake. When it fails it has answered the
// request with the HTTP status that says why.
func Upgrade(w http.ResponseWriter, r *http.Request, o UpgradeOptions) (*Conn, error) {
	if o.CheckOrigin == nil {
		o.CheckOrigin = SameOrigin
	}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: o.HandshakeTimeout,
		ReadBufferSize:   readAhead,
		WriteBufferPool:  writeBuffers,
		CheckOrigin:      o.CheckOrigin,
		Subprotocols:     o.Subprotocols,
	}
	hijack := &hijacker{ResponseWriter: w}
	conn, err := upgrader.Upgrade(hijack, r, nil)
	if err != nil {
		return nil, fmt.Errorf("upgrade to WebSocket: %w", err)
	}
	return newConn(conn, hijack.socket, false, o.Limits), nil
}

// hijacker puts our socket below gorilla's connection.
type hijacker struct {
	http.ResponseWriter
	socket *socket
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.socket = &socket{Conn: conn}
	return h.socket, rw, nil
}
