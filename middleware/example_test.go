package middleware_test

import (
	"context"
	"log"
	"net"

	"github.com/seed-fbfaa03e/arpc"
)

// connect serves a handler to one client, over a pipe in memory.
func connect(h *arpc.Handler) (c *arpc.Client, stop func()) {
	accepted := make(chan *arpc.Client, 1)
	c, err := arpc.NewClient(func() (net.Conn, error) {
		near, far := net.Pipe()
		accepted <- h.ServeConn(far, arpc.Accepted{})
		return near, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	server := <-accepted
	return c, func() {
		if err := server.Drain(context.Background()); err != nil {
			log.Print(err)
		}
		c.Stop()
		<-c.Done()
		<-server.Done()
	}
}
