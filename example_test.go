package arpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

func Example() {
	s := server.New()
	s.Handler.Handle("/hello", func(ctx *arpc.Context) {
		var name string
		if err := ctx.Bind(&name); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write("hello, " + name)
	})
	address := exampleServe(s)
	defer exampleEnd(s)

	c, err := arpc.Dial(context.Background(), address)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Stop()

	var reply string
	if err := c.Call("/hello", "Ada", &reply, 5*time.Second); err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply)
	// Output: hello, Ada
}

func ExampleDial() {
	s := server.New()
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	tcp := exampleServe(s)
	web, closeWeb := exampleServeWeb(s)
	defer closeWeb()
	defer exampleEnd(s)

	for _, address := range []string{tcp, web} { // tcp://localhost:8888, ws://localhost:8080/ws
		c, err := arpc.Dial(context.Background(), address)
		if err != nil {
			log.Fatal(err)
		}
		var reply string
		err = c.Call("/echo", "the same routes", &reply, 5*time.Second)
		scheme, _, _ := strings.Cut(address, ":")
		fmt.Println(scheme, reply, err)
		exampleStop(c)
	}
	// Output:
	// tcp the same routes <nil>
	// ws the same routes <nil>
}

func ExampleNewClient() {
	h := arpc.NewHandler()
	h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })

	// Any net.Conn will do, such as two ends in one process.
	c, err := arpc.NewClient(func() (net.Conn, error) {
		near, far := net.Pipe()
		h.ServeConn(far, arpc.Accepted{})
		return near, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)

	var reply string
	err = c.Call("/echo", "no network", &reply, 5*time.Second)
	fmt.Println(reply, err)
	// Output: no network <nil>
}

func ExampleContext_Bind() {
	type Order struct {
		Item  string `json:"item"`
		Count int    `json:"count"`
	}
	type Receipt struct {
		Total int `json:"total"`
	}

	s := server.New()
	s.Handler.Handle("/order", func(ctx *arpc.Context) {
		var order Order
		if err := ctx.Bind(&order); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write(Receipt{Total: 3 * order.Count})
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	var receipt Receipt
	err := c.Call("/order", Order{Item: "tea", Count: 4}, &receipt, 5*time.Second)
	fmt.Println(receipt.Total, err)

	err = c.Call("/order", "not an order", &receipt, 5*time.Second)
	fmt.Println(err)
	// Output:
	// 12 <nil>
	// the body is not what /order takes
}

func ExampleClient_CallWith() {
	s := server.New()
	s.Handler.Handle("/slow", func(ctx *arpc.Context) { <-ctx.Done() })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := c.CallWith(ctx, "/slow", nil, nil)
	fmt.Println(arpc.CodeOf(err))
	// Output: deadline_exceeded
}

func ExampleClient_Notify() {
	s := server.New()
	done := make(chan struct{})
	s.Handler.Handle("/typing", func(ctx *arpc.Context) {
		fmt.Printf("%s is typing\n", ctx.Body())
		if string(ctx.Body()) == "Grace" {
			close(done)
		}
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	// Notifies have no answer, and are handled in the order they were sent.
	for _, name := range []string{"Ada", "Grace"} {
		if err := c.Notify("/typing", name, time.Second); err != nil {
			log.Fatal(err)
		}
	}
	<-done
	// Output:
	// Ada is typing
	// Grace is typing
}

// Both ends can call: here the server asks the client that asked it.
func ExampleClient_Call_bothWays() {
	s := server.New()
	s.Handler.Handle("/login", func(ctx *arpc.Context) {
		var name string
		if err := ctx.Client.Call("/name", nil, &name, 5*time.Second); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write("welcome, " + name)
	})
	address := exampleServe(s)
	defer exampleEnd(s)

	h := arpc.NewHandler()
	h.Handle("/name", func(ctx *arpc.Context) { _ = ctx.Write("Ada") })
	c, err := arpc.Dial(context.Background(), address, arpc.WithHandler(h))
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)

	var reply string
	err = c.Call("/login", nil, &reply, 5*time.Second)
	fmt.Println(reply, err)
	// Output: welcome, Ada <nil>
}

func ExampleHandler_Use() {
	s := server.New()
	handled := make(chan string, 2)
	s.Handler.Use(func(ctx *arpc.Context) {
		ctx.Next() // the rest of the chain runs here
		handled <- ctx.Method() + " for " + string(ctx.Body())
	})
	s.Handler.Use(func(ctx *arpc.Context) {
		if string(ctx.Body()) == "Mallory" {
			_ = ctx.Error("not for you")
			ctx.Abort() // the handler does not run
		}
	})
	s.Handler.Handle("/door", func(ctx *arpc.Context) { _ = ctx.Write("it is open") })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	for _, name := range []string{"Ada", "Mallory"} {
		var reply string
		err := c.Call("/door", name, &reply, 5*time.Second)
		fmt.Printf("%q, %v; %s\n", reply, err, <-handled)
	}
	// Output:
	// "it is open", <nil>; /door for Ada
	// "", not for you; /door for Mallory
}

func ExampleHandler_HandleNotFound() {
	s := server.New()
	s.Handler.HandleNotFound(func(ctx *arpc.Context) {
		_ = ctx.Error("there is no " + ctx.Method())
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	fmt.Println(c.Call("/nowhere", nil, nil, 5*time.Second))
	// Output: there is no /nowhere
}

func ExampleHandler_HandleConnected() {
	s := server.New()
	left := make(chan struct{})
	s.Handler.HandleConnected(func(c *arpc.Client) {
		c.Set("name", "guest")
	})
	s.Handler.HandleDisconnected(func(c *arpc.Client, err error) {
		name, _ := c.Get("name")
		fmt.Println(name, "left")
		close(left)
	})
	c := exampleClient(s)
	defer exampleEnd(s)

	exampleStop(c)
	<-left
	// Output: guest left
}

func ExampleError() {
	s := server.New()
	s.Handler.Handle("/user", func(ctx *arpc.Context) {
		_ = ctx.Error(arpc.Errorf(arpc.CodeNotFound, "no user %q", ctx.Body()))
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	err := c.Call("/user", "Ada", nil, 5*time.Second)
	var told *arpc.Error
	if errors.As(err, &told) && told.Remote() {
		fmt.Println("the peer says:", told.Message)
	}

	err = c.Call("/missing", nil, nil, 5*time.Second)
	fmt.Println(errors.Is(err, arpc.ErrMethodNotFound), arpc.CodeOf(err))

	exampleStop(c)
	err = c.Call("/user", "Ada", nil, 5*time.Second)
	fmt.Println(errors.Is(err, arpc.ErrStopped), arpc.CodeOf(err))
	// Output:
	// the peer says: no user "Ada"
	// true not_found
	// true unavailable
}

// exampleServe serves s on a free port and returns the address to dial.
func exampleServe(s *server.Server) (address string) {
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	return "tcp://" + ln.Addr().String()
}

// exampleServeWeb serves the WebSocket door of s on a free port, until it is closed.
func exampleServeWeb(s *server.Server) (address string, closeDoor func()) {
	mux := http.NewServeMux()
	mux.Handle("/ws", s.WebSocket())
	web := httptest.NewServer(mux)
	return "ws" + strings.TrimPrefix(web.URL, "http") + "/ws", web.Close
}

// exampleClient serves s and returns a client of it.
func exampleClient(s *server.Server) *arpc.Client {
	c, err := arpc.Dial(context.Background(), exampleServe(s))
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// exampleStop ends a client and waits until it ended.
func exampleStop(c *arpc.Client) {
	c.Stop()
	<-c.Done()
}

// exampleEnd ends a server with all its connections.
func exampleEnd(s *server.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
