package arpctest_test

import (
	"net"
	"testing"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// TestAnAddressIsKept: one listener after the other is there, and nobody is given it
// who asks for any, though all others are asked for in between.
func TestAnAddressIsKept(t *testing.T) {
	address := arpctest.Address(t, "127.0.0.9")
	for range 3 {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		for range 500 {
			other, err := net.Listen("tcp", "127.0.0.9:0")
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if other.Addr().String() == address {
				t.Fatal("it was given away")
			}
		}
	}
}
