// Package contender has everyone whose calls are measured: each echoes a text,
// or publishes it, by a server and by one connection of a client.
package contender

import (
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

// Contender is one way to echo, or to publish. Either it has a Dial, or an Open, or programs of
// its own for both sides; a Server program may go with a Dial, which is then
// used where it is not the client that is measured.
type Contender struct {
	// Name is what results and flags call it.
	Name string
	// About is what it does, in a few words.
	About string

	// Serve answers on a listener until that fails.
	Serve func(net.Listener) error
	// Dial connects where calls know their answers.
	Dial func(Target) (drive.Caller, error)
	// Open connects where they do not.
	Open func(Target) (drive.Pipe, error)

	// Versions, unless it is nil, are of the programs that Serve starts, by name.
	Versions func() map[string]string

	// Server and Load are the arguments of node, in the folder bench/socketio.
	Server, Load []string
}

// Target is what a connection is made to, and what is to be echoed on it.
type Target struct {
	// Context bounds connecting.
	Context context.Context
	// Dialer opens the socket.
	Dialer *net.Dialer
	// Address is a host with a port.
	Address string
	// Text is sent with every call.
	Text string
}

// dial opens the socket.
func (t Target) dial() (net.Conn, error) {
	return t.Dialer.DialContext(t.Context, "tcp", t.Address)
}

// All are the contenders that need no program but those of this project.
var All = slices.Concat(arpcs, []Contender{grpcGo, netRPC, gorilla, socketIO, rawEcho, pingPong}, durables)

// Named finds a contender.
func Named(name string) (Contender, error) {
	for _, c := range slices.Concat(All, redises) {
		if c.Name == name {
			return c, nil
		}
	}
	return Contender{}, fmt.Errorf("no contender %q", name)
}

// Message is what is echoed where values are; net/rpc wants it exported.
type Message struct {
	Text string `json:"text"`
}

// sameLength says whether an echo can be one; comparing all of it would be
// measured too.
func sameLength(got, want int) error {
	if got != want {
		return fmt.Errorf("echo has %d bytes, want %d", got, want)
	}
	return nil
}

// acceptEach serves every connection of a listener on a goroutine.
func acceptEach(ln net.Listener, serve func(net.Conn)) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go serve(conn)
	}
}
