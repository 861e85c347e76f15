package pool_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pool"
	"github.com/seed-fbfaa03e/arpc/server"
)

func Example() {
	s := server.New()
	s.Handler.Handle("/hello", func(ctx *arpc.Context) { _ = ctx.Write("hello, " + string(ctx.Body())) })
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	// Or pool.DNS("tcp://backend:8888"), or a func that asks a registry.
	p := pool.New(pool.Static("tcp://"+ln.Addr().String()), pool.PerAddress(2))
	var reply string
	if err := p.Call("/hello", "Ada", &reply, 5*time.Second); err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply)
	p.Stop()

	if err := s.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// hello, Ada
	// server closed
}
