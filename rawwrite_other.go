//go:build !unix

package arpc

import "net"

// rawWriter stands for the non-blocking write that this system does not offer:
// every write is left to a goroutine that may block.
type rawWriter struct{}

func newRawWriter(net.Conn) rawWriter { return rawWriter{} }

func (*rawWriter) write([]byte) (int, error) { return 0, nil }
