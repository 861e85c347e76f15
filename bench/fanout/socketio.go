package fanout

import (
	"bytes"
	"fmt"

	"github.com/seed-fbfaa03e/arpc/bench/audience"
)

// socketIO is a server in Node, with subscribers that read as all others do:
// one process of Node's own clients would be slower than the server.
var socketIO = Contender{
	Name: "socket.io", About: "socket.io in Node, io.emit, WebSocket only",
	Server: []string{"hub.mjs"},
	Protocol: audience.Protocol{
		Path:  "/socket.io/?EIO=4&transport=websocket",
		Greet: greetSocketIO,
		Read:  readSocketIO,
	},
}

// The packets of Engine.IO 4, one digit, and of Socket.IO 5 behind a message.
var (
	engineOpen    = []byte("0")
	enginePing    = []byte("2")
	enginePong    = []byte("3")
	socketConnect = []byte("40")
	socketEvent   = []byte(`42["news","`)
	eventEnd      = []byte(`"]`)
)

func greetSocketIO(l *audience.Link) error {
	if err := expect(l, engineOpen); err != nil {
		return err
	}
	if err := l.Send(audience.Text, socketConnect); err != nil {
		return err
	}
	return expect(l, socketConnect)
}

func expect(l *audience.Link, prefix []byte) error {
	got, err := l.Receive()
	if err == nil && !bytes.HasPrefix(got, prefix) {
		err = fmt.Errorf("server says %q, want %q", got, prefix)
	}
	return err
}

func readSocketIO(message []byte, deliver func([]byte) error) (reply []byte, err error) {
	if event, ok := bytes.CutPrefix(message, socketEvent); ok {
		return nil, deliver(bytes.TrimSuffix(event, eventEnd))
	}
	if bytes.Equal(message, enginePing) {
		return enginePong, nil
	}
	return nil, fmt.Errorf("unexpected packet %q", message)
}
