package contender

import (
	"net"
	"net/rpc"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

var netRPC = Contender{
	Name: "net-rpc", About: "net/rpc of Go's standard library, gob",
	Serve: serveNetRPC, Dial: dialNetRPC,
}

// Echo has the shape that net/rpc asks of a service.
type Echo struct{}

// Say answers with what it got.
func (Echo) Say(request Message, reply *Message) error {
	*reply = request
	return nil
}

func serveNetRPC(ln net.Listener) error {
	s := rpc.NewServer()
	if err := s.Register(Echo{}); err != nil {
		return err
	}
	return acceptEach(ln, func(conn net.Conn) { s.ServeConn(conn) })
}

type netRPCCaller struct {
	*rpc.Client
	request Message
}

func dialNetRPC(t Target) (drive.Caller, error) {
	conn, err := t.dial()
	if err != nil {
		return nil, err
	}
	return &netRPCCaller{rpc.NewClient(conn), Message{t.Text}}, nil
}

func (c *netRPCCaller) Call() error {
	var reply Message
	if err := c.Client.Call("Echo.Say", &c.request, &reply); err != nil {
		return err
	}
	return sameLength(len(reply.Text), len(c.request.Text))
}
