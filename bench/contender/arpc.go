package contender

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/bench/drive"
	"github.com/seed-fbfaa03e/arpc/server"
	"github.com/seed-fbfaa03e/arpc/ws"
)

const method = "echo"

// arpcs are the ways to echo with this project: as it comes, and faster where
// the handler allows it, over both doors.
var arpcs = []Contender{
	{
		Name: "arpc", About: "typed route, JSON, as it comes: requests run concurrently",
		Serve: overTCP(typed(arpc.Auto)), Dial: dialArpc(tcpDoor, newTyped),
	},
	{
		Name: "arpc-inline", About: "the same route, inline",
		Serve: overTCP(typed(arpc.Inline)), Dial: dialArpc(tcpDoor, newTyped),
	},
	{
		Name: "arpc-bytes", About: "inline, bytes without a codec",
		Serve: overTCP(bytesInline), Dial: dialArpc(tcpDoor, newPlain),
	},
	{
		Name: "arpc-ws", About: "typed route, JSON, as it comes, over WebSocket",
		Serve: overWebSocket(typed(arpc.Auto)), Dial: dialArpc(webSocketDoor, newTyped),
	},
	{
		Name: "arpc-ws-inline", About: "the same route, inline",
		Serve: overWebSocket(typed(arpc.Inline)), Dial: dialArpc(webSocketDoor, newTyped),
	},
	{
		Name: "arpc-ws-bytes", About: "inline, bytes without a codec, over WebSocket",
		Serve: overWebSocket(bytesInline), Dial: dialArpc(webSocketDoor, newPlain),
	},
	{
		Name: "arpc-brief", About: "typed route, JSON, as it comes, without sessions that outlive the connection",
		Serve: overTCP(brief(typed(arpc.Auto))), Dial: dialArpc(tcpDoor, newTyped),
	},
	{
		Name: "arpc-bytes-brief", About: "inline, bytes without a codec, without such sessions",
		Serve: overTCP(brief(bytesInline)), Dial: dialArpc(tcpDoor, newPlain),
	},
	{
		Name: "arpc-ws-bytes-brief", About: "the same over WebSocket",
		Serve: overWebSocket(brief(bytesInline)), Dial: dialArpc(webSocketDoor, newPlain),
	},
}

// brief is a route of a server whose sessions end with their connection.
func brief(register route) route {
	return func(h *arpc.Handler) {
		h.SetLimits(arpc.Limits{Grace: -1})
		register(h)
	}
}

// route registers the echo.
type route func(*arpc.Handler)

func typed(mode arpc.Mode) route {
	return func(h *arpc.Handler) {
		arpc.Route(h, method, func(_ *arpc.Context, m Message) (Message, error) { return m, nil }, mode)
	}
}

func bytesInline(h *arpc.Handler) {
	h.Handle(method, func(ctx *arpc.Context) { _ = ctx.Write(ctx.Body()) }, arpc.Inline)
}

func overTCP(register route) func(net.Listener) error {
	return func(ln net.Listener) error {
		s := server.New()
		register(s.Handler)
		return s.Serve(ln)
	}
}

func overWebSocket(register route) func(net.Listener) error {
	return func(ln net.Listener) error {
		s := server.New()
		register(s.Handler)
		web := http.Server{Handler: s.WebSocket(), ReadHeaderTimeout: 10 * time.Second}
		return web.Serve(ln)
	}
}

// A door is how a client gets a connection.
type door func(Target) (net.Conn, error)

func tcpDoor(t Target) (net.Conn, error) { return t.dial() }

func webSocketDoor(t Target) (net.Conn, error) {
	conn, err := ws.Dial(t.Context, "ws://"+t.Address, ws.DialOptions{
		Limits:  arpc.DefaultLimits().WebSocket(),
		NetDial: t.Dialer.DialContext,
	})
	if err != nil { // a nil *ws.Conn would be a net.Conn that is not nil
		return nil, err
	}
	return conn, nil
}

func dialArpc(through door, caller func(*arpc.Client, string) drive.Caller) func(Target) (drive.Caller, error) {
	return func(t Target) (drive.Caller, error) {
		c, err := arpc.NewClient(func() (net.Conn, error) { return through(t) })
		if err != nil {
			return nil, err
		}
		return caller(c, t.Text), nil
	}
}

// typedCaller echoes a value.
type typedCaller struct {
	client  *arpc.Client
	request Message
}

func newTyped(c *arpc.Client, text string) drive.Caller { return &typedCaller{c, Message{text}} }

func (c *typedCaller) Call() error {
	var reply Message
	if err := c.client.CallWith(context.Background(), method, c.request, &reply); err != nil {
		return err
	}
	return sameLength(len(reply.Text), len(c.request.Text))
}

func (c *typedCaller) Close() error { return stop(c.client) }

// plainCaller echoes bytes.
type plainCaller struct {
	client  *arpc.Client
	request []byte
}

func newPlain(c *arpc.Client, text string) drive.Caller { return &plainCaller{c, []byte(text)} }

func (c *plainCaller) Call() error {
	var reply []byte
	if err := c.client.CallWith(context.Background(), method, c.request, &reply); err != nil {
		return err
	}
	return sameLength(len(reply), len(c.request))
}

func (c *plainCaller) Close() error { return stop(c.client) }

func stop(c *arpc.Client) error {
	c.Stop()
	<-c.Done()
	return nil
}
