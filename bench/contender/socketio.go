package contender

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

// socketIO is measured with its own client. The one here only opens connections
// that stay idle, ten thousand of which are too much for a process of Node's.
var socketIO = Contender{
	Name: "socket.io", About: "socket.io in Node, emitWithAck, WebSocket only, server and client",
	Server: []string{"--expose-gc", "server.mjs"},
	Load:   []string{"load.mjs"},
	Dial:   dialSocketIO,
}

// The packets of Engine.IO 4, one digit, and of Socket.IO 5 behind a message.
const (
	enginePing       = "2"
	enginePong       = "3"
	socketConnect    = "40"
	socketEventOfAck = "420"
	socketAck        = "430"
)

// socketIOCaller has one call in flight, and answers pings only then.
type socketIOCaller struct {
	*websocket.Conn
	request, reply string
}

func dialSocketIO(t Target) (drive.Caller, error) {
	conn, err := dialWebSocket(t, "/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(Message{t.Text})
	if err != nil {
		return nil, err
	}
	c := &socketIOCaller{
		Conn:    conn,
		request: fmt.Sprintf(`%s["echo",%s]`, socketEventOfAck, text),
		reply:   fmt.Sprintf(`%s[%s]`, socketAck, text),
	}
	if err := c.say(socketConnect); err != nil {
		return nil, err
	}
	_, err = c.await(socketConnect)
	return c, err
}

func (c *socketIOCaller) Call() error {
	if err := c.say(c.request); err != nil {
		return err
	}
	reply, err := c.await(socketAck)
	if err != nil {
		return err
	}
	return sameLength(len(reply), len(c.reply))
}

func (c *socketIOCaller) say(packet string) error {
	return c.WriteMessage(websocket.TextMessage, []byte(packet))
}

// await is the next packet of a kind.
func (c *socketIOCaller) await(prefix string) (string, error) {
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			return "", err
		}
		if packet := string(data); strings.HasPrefix(packet, prefix) {
			return packet, nil
		} else if packet != enginePing {
			continue
		}
		if err := c.say(enginePong); err != nil {
			return "", err
		}
	}
}
