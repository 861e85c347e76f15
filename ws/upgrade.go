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
		WriteBufferPool:  writeBuffers,
		CheckOrigin:      o.CheckOrigin,
		Subprotocols:     o.Subprotocols,
	}
	hijack := &hijacker{ResponseWriter: w}
	conn, err := upgrader.Upgrade(hijack, r, nil)
	if err != nil {
		return nil, fmt.Errorf("upgrade to WebSocket: %w", err)
	}
	c := newConn(conn, hijack.socket, false, o.Limits)
	c.buffered = hijack.buffered
	return c, nil
}

// hijacker puts our socket below gorilla's connection, and between the two a
// buffer that gorilla takes over.
type hijacker struct {
	http.ResponseWriter
	socket   *socket
	buffered *bufio.Reader
}

// headersAhead is the size of that buffer: the least that gorilla takes over.
const headersAhead = 257

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.socket = &socket{}
	h.socket.over(conn)
	if rw.Reader.Buffered() > 0 { // which gorilla refuses
		return h.socket, rw, nil
	}
	h.buffered = bufio.NewReaderSize(h.socket, headersAhead)
	return h.socket, bufio.NewReadWriter(h.buffered, rw.Writer), nil
}
