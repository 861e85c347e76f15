package fanout

import (
	"net"
	"time"

	"github.com/gorilla/websocket"
)

var gorillaHub = Contender{
	Name: "gorilla-hub", About: "gorilla/websocket, a hub as in a chat: a goroutine and a channel for each client, PreparedMessage",
	New:      func() Publisher { return newChatHub() },
	Protocol: plain,
}

const (
	chatBacklog = 256 // messages that wait for one client; one that has more is let go
	chatPing    = 54 * time.Second
	chatWrite   = 10 * time.Second
)

// chatHub is one goroutine that owns the clients.
type chatHub struct {
	enter, leave chan *chatClient
	publications chan []byte
	clients      map[*chatClient]bool
}

type chatClient struct {
	conn *websocket.Conn
	send chan *websocket.PreparedMessage
}

func newChatHub() *chatHub {
	return &chatHub{
		enter: make(chan *chatClient), leave: make(chan *chatClient),
		publications: make(chan []byte),
		clients:      map[*chatClient]bool{},
	}
}

func (h *chatHub) Serve(ln net.Listener) error {
	go h.run()
	return serveUpgraded(ln, func(conn *websocket.Conn) {
		c := &chatClient{conn, make(chan *websocket.PreparedMessage, chatBacklog)}
		h.enter <- c
		go c.write()
		go func() {
			awaitEnd(conn)
			h.leave <- c
		}()
	})
}

func (h *chatHub) Publish(text []byte) error {
	h.publications <- text
	return nil
}

func (h *chatHub) run() {
	for {
		select {
		case c := <-h.enter:
			h.clients[c] = true
			h.send(c, prepared(welcome))
		case c := <-h.leave:
			h.drop(c)
		case text := <-h.publications:
			h.broadcast(text)
		}
	}
}

func (h *chatHub) drop(c *chatClient) {
	if h.clients[c] {
		delete(h.clients, c)
		close(c.send)
	}
}

func (h *chatHub) broadcast(text []byte) {
	m := prepared(text)
	for c := range h.clients {
		h.send(c, m)
	}
}

func (h *chatHub) send(c *chatClient, m *websocket.PreparedMessage) {
	select {
	case c.send <- m:
	default:
		h.drop(c)
	}
}

// prepared is a text that is framed once.
func prepared(text []byte) *websocket.PreparedMessage {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	if err != nil {
		panic(err) // it writes into memory
	}
	return m
}

func (c *chatClient) write() {
	ping := time.NewTicker(chatPing)
	defer ping.Stop()
	defer c.conn.Close()
	for {
		select {
		case m, ok := <-c.send:
			if !ok {
				return
			}
			_ = c.conn.SetWriteDeadline(time.Now().Add(chatWrite)) // the write says so
			if err := c.conn.WritePreparedMessage(m); err != nil {
				return
			}
		case <-ping.C:
			if err := c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(chatWrite)); err != nil {
				return
			}
		}
	}
}
