// Package fanout has everyone who sends a publication to many: each with a
// server, and with how its subscribers come in and read.
package fanout

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
)

// Contender is one way to send a publication to all subscribers of a server.
type Contender struct {
	// Name is what results and flags call it.
	Name string
	// About is what it does, in a few words.
	About string

	// New makes a server, nil if that is a program.
	New func() Publisher
	// Server are the arguments of node, in the folder bench/socketio.
	Server []string
	// Protocol is that of its subscribers.
	Protocol audience.Protocol
}

// Publisher is a server that publishes.
type Publisher interface {
	// Serve lets subscribers in until the listener fails.
	Serve(ln net.Listener) error
	// Publish sends a text to all subscribers that are in. It is called by one
	// goroutine, and may keep the text.
	Publish(text []byte) error
}

// All are the contenders.
var All = []Contender{arpcTopic, arpcLasting, arpcBase, gorillaHub, melodyBroadcast, socketIO, rawCoalesced, rawEach}

// Named finds a contender.
func Named(name string) (Contender, error) {
	for _, c := range All {
		if c.Name == name {
			return c, nil
		}
	}
	return Contender{}, fmt.Errorf("no contender %q", name)
}

// plain is the protocol of servers that have none: each message is a
// publication, but for the first, which says that the subscriber is in.
var plain = audience.Protocol{Path: "/", Greet: awaitWelcome, Read: plainText}

var welcome = []byte("welcome")

func awaitWelcome(l *audience.Link) error {
	got, err := l.Receive()
	if err == nil && !bytes.Equal(got, welcome) {
		err = fmt.Errorf("server says %q before it says welcome", got)
	}
	return err
}

// plainText reads messages that are publications as they are.
func plainText(message []byte, deliver func([]byte) error) ([]byte, error) {
	return nil, deliver(message)
}

// serveHTTP serves one handler.
func serveHTTP(ln net.Listener, h http.Handler) error {
	web := http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return web.Serve(ln)
}

// serveUpgraded upgrades every request with gorilla, as it comes.
func serveUpgraded(ln net.Listener, join func(*websocket.Conn)) error {
	var upgrader websocket.Upgrader
	return serveHTTP(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it has answered
		}
		join(conn)
	}))
}

// awaitEnd reads until the connection is over. Whoever has to be told writes
// meanwhile; pings are answered.
func awaitEnd(conn *websocket.Conn) {
	for {
		if _, _, err := conn.NextReader(); err != nil {
			return
		}
	}
}
