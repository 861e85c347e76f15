package contender

import (
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

var gorilla = Contender{
	Name: "gorilla", About: "gorilla/websocket, a bare loop of ReadMessage and WriteMessage: no calls and no handler",
	Serve: serveGorilla, Open: openGorilla,
}

func serveGorilla(ln net.Listener) error {
	web := http.Server{Handler: http.HandlerFunc(echoMessages), ReadHeaderTimeout: 10 * time.Second}
	return web.Serve(ln)
}

func echoMessages(w http.ResponseWriter, r *http.Request) {
	var upgrader websocket.Upgrader
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.Close()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := conn.WriteMessage(kind, data); err != nil {
			return
		}
	}
}

// dialWebSocket opens a WebSocket of gorilla's.
func dialWebSocket(t Target, path string) (*websocket.Conn, error) {
	d := websocket.Dialer{NetDialContext: t.Dialer.DialContext}
	conn, _, err := d.DialContext(t.Context, "ws://"+t.Address+path, nil)
	return conn, err
}

// gorillaPipe writes each message by itself, as gorilla does.
type gorillaPipe struct {
	*websocket.Conn
	text []byte
}

func openGorilla(t Target) (drive.Pipe, error) {
	conn, err := dialWebSocket(t, "/")
	if err != nil {
		return nil, err
	}
	return &gorillaPipe{conn, []byte(t.Text)}, nil
}

func (p *gorillaPipe) Send() error { return p.WriteMessage(websocket.BinaryMessage, p.text) }

func (p *gorillaPipe) Flush() error { return nil }

func (p *gorillaPipe) Buffered() bool { return false }

func (p *gorillaPipe) Receive() error {
	_, data, err := p.ReadMessage()
	if err != nil {
		return err
	}
	return sameLength(len(data), len(p.text))
}
