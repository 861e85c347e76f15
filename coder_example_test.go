package arpc_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// checksum ends each frame with the CRC-32 of what it was.
type checksum struct{}

func (checksum) Name() string { return "crc32" }
func (checksum) Bit() byte    { return 1 << 1 }

func (checksum) Encode(dst, frame []byte) ([]byte, error) {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(append(dst, frame...), crc32.ChecksumIEEE(frame))
	dst[start+4] |= 1 << 1
	wire.Finish(dst[start:])
	return dst, nil
}

func (checksum) Decode(dst, frame []byte, _ int) ([]byte, error) {
	start, end := len(dst), len(frame)-crc32.Size
	dst = append(dst, frame[:end]...)
	dst[start+4] &^= 1 << 1
	wire.Finish(dst[start:])
	if crc32.ChecksumIEEE(dst[start:]) != binary.LittleEndian.Uint32(frame[end:]) {
		return nil, errors.New("checksum: it is another")
	}
	return dst, nil
}

func ExampleHandler_UseCoder() {
	server, client := arpc.NewHandler(), arpc.NewHandler()
	for _, h := range []*arpc.Handler{server, client} {
		h.UseCoder(checksum{})
	}
	arpc.Route(server, "/hello", func(_ *arpc.Context, name string) (string, error) { return "hello, " + name, nil })

	c, err := arpc.NewClient(func() (net.Conn, error) {
		near, far := net.Pipe()
		server.ServeConn(far, arpc.Accepted{})
		return near, nil
	}, arpc.WithHandler(client))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { c.Stop(); <-c.Done() }()
	var greeting string
	fmt.Println(c.Call("/hello", "Ada", &greeting, 5*time.Second), greeting)
	// Output: <nil> hello, Ada
}

// numbered ends each frame with its number on the connection: one that somebody on the
// way left out, repeated or moved is found out.
type numbered struct{ sent, received uint32 }

func (*numbered) Name() string { return "numbered" }
func (*numbered) Bit() byte    { return 1 << 2 }

func (*numbered) PerConnection() arpc.Coder { return &numbered{} }

func (n *numbered) Encode(dst, frame []byte) ([]byte, error) {
	start := len(dst)
	n.sent++
	dst = binary.LittleEndian.AppendUint32(append(dst, frame...), n.sent)
	dst[start+4] |= 1 << 2
	wire.Finish(dst[start:])
	return dst, nil
}

func (n *numbered) Decode(dst, frame []byte, _ int) ([]byte, error) {
	start, end := len(dst), len(frame)-4
	if n.received++; end < wire.HeaderLen || binary.LittleEndian.Uint32(frame[end:]) != n.received {
		return dst, fmt.Errorf("numbered: it is not frame %d", n.received)
	}
	dst = append(dst, frame[:end]...)
	dst[start+4] &^= 1 << 2
	wire.Finish(dst[start:])
	return dst, nil
}

// Behind a coder whose frames are the same for all comes one with a state for each
// connection.
func ExampleConnCoder() {
	server, client := arpc.NewHandler(), arpc.NewHandler()
	for _, h := range []*arpc.Handler{server, client} {
		h.UseCoder(checksum{})
		h.UseCoder(&numbered{})
	}
	arpc.Route(server, "/hello", func(_ *arpc.Context, name string) (string, error) { return "hello, " + name, nil })

	for _, name := range []string{"Ada", "Bob"} {
		c, err := arpc.NewClient(func() (net.Conn, error) {
			near, far := net.Pipe()
			server.ServeConn(far, arpc.Accepted{})
			return near, nil
		}, arpc.WithHandler(client))
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { c.Stop(); <-c.Done() }()
		var greeting string
		fmt.Println(c.Call("/hello", name, &greeting, 5*time.Second), greeting)
	}
	// Output:
	// <nil> hello, Ada
	// <nil> hello, Bob
}
