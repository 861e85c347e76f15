package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

func TestStrangersCountAndEndWithTheServer(t *testing.T) {
	s := server.New(server.MaxLoad(3))
	s.Handler.SetLogger(slog.New(slog.DiscardHandler))
	s.Handler.HandleAuthenticate(func(context.Context, arpc.Credentials) (*arpc.Identity, error) { return nil, errors.New("nobody") })
	ln := arpctest.Listen(t)
	serving := make(chan error, 1)
	go func() { serving <- s.Serve(ln) }()
	var open []net.Conn
	for range 3 {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		open = append(open, conn)
	}
	arpctest.Eventually(t, "a fourth to be refused", func() bool {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return false
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		return err != nil
	})
	if n := len(s.Clients()); n != 0 {
		t.Errorf("%d strangers are among the clients", n)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, conn := range open {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a stranger outlived the server")
		}
	}
	if err := arpctest.Receive(t, serving, "Serve"); !errors.Is(err, server.ErrClosed) {
		t.Error(err)
	}
}
