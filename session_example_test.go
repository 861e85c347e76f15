package arpc_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

func ExampleHandler_HandlePaused() {
	s := server.New()
	started, lost := make(chan struct{}), make(chan struct{})
	s.Handler.HandlePaused(func(c *arpc.Client, err error) {
		close(lost)
	})
	s.Handler.Handle("/report", func(ctx *arpc.Context) {
		close(started)
		<-lost // the connection; this handler works on
		_ = ctx.Write("all of it")
	})
	c, cut := exampleCutClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	go func() {
		<-started
		cut()
	}()
	var report string
	err := c.Call("/report", nil, &report, 10*time.Second)
	fmt.Println(report, err)
	// Output: all of it <nil>
}

func ExampleHandler_HandleResumed() {
	s := server.New()
	h := arpc.NewHandler() // of the client: it hears of its sessions too
	heard := make(chan string, 3)
	h.HandleConnected(func(*arpc.Client) { heard <- "a session begins" })
	h.HandlePaused(func(*arpc.Client, error) { heard <- "offline" })
	h.HandleResumed(func(*arpc.Client) { heard <- "online, and nothing is lost" })
	c, cut := exampleCutClient(s, arpc.WithHandler(h))
	defer exampleEnd(s)
	defer exampleStop(c)

	fmt.Println(<-heard)
	cut()
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Output:
	// a session begins
	// offline
	// online, and nothing is lost
}

func Example_lostSession() {
	s := server.New()
	s.Handler.SetLimits(arpc.Limits{Grace: -1}) // sessions end with their connection
	paid := make(chan struct{})
	s.Handler.Handle("/pay", func(ctx *arpc.Context) {
		close(paid)
		<-ctx.Done()
	})
	s.Handler.Handle("/paid", func(ctx *arpc.Context) { _ = ctx.Write(true) })
	c, cut := exampleCutClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	go func() {
		<-paid
		cut()
	}()
	err := c.Call("/pay", "order 1", nil, 5*time.Second)
	var failed *arpc.Error
	if errors.Is(err, arpc.ErrDisconnected) && errors.As(err, &failed) && failed.Sent {
		var done bool // the server may have had it: ask, or repeat it with a key of yours
		err = c.Call("/paid", "order 1", &done, 5*time.Second)
		fmt.Println("paid:", done, err)
	}
	// Output: paid: true <nil>
}

// exampleCutClient serves s and returns a client of it, and what takes its
// connection away as a network does.
func exampleCutClient(s *server.Server, opts ...arpc.ClientOption) (c *arpc.Client, cut func()) {
	address := strings.TrimPrefix(exampleServe(s), "tcp://")
	first := make(chan net.Conn, 1)
	c, err := arpc.NewClient(func() (net.Conn, error) {
		conn, err := net.Dial("tcp", address)
		select {
		case first <- conn:
		default:
		}
		return conn, err
	}, opts...)
	if err != nil {
		log.Fatal(err)
	}
	return c, func() { _ = (<-first).Close() }
}
