//go:build !linux

package arpctest

import (
	"net"
	"testing"
)

// Address is a TCP port of an IPv4 address of this machine. Where a socket that is
// bound stands in the way of one that listens, it is only free at the moment.
func Address(t testing.TB, ip string) string {
	t.Helper()
	ln, err := net.Listen("tcp4", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
