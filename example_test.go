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
	// invalid_argument: the body is not what /order takes
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

func ExampleHandler_HandleAuthenticate() {
	s := server.New()
	s.Handler.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
		switch {
		case cr.Source == arpc.FromUpgrade: // a WebSocket: cr.Request has its cookies
			return nil, nil // they do not tell, the token will
		case cr.Token == "Ada's token":
			return &arpc.Identity{ID: "ada", Expires: time.Now().Add(time.Hour)}, nil
		}
		return nil, errors.New("no such token") // the peer hears that it is not authenticated
	})
	s.Handler.Handle("/whoami", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.Identity().ID) })
	address := exampleServe(s)
	defer exampleEnd(s)

	token := func(context.Context) (string, error) { return "Ada's token", nil } // asked again before it expires
	c, err := arpc.Dial(context.Background(), address, arpc.WithToken(token))
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)
	var who string
	err = c.Call("/whoami", nil, &who, 5*time.Second)
	fmt.Println(who, err)

	wrong := func(context.Context) (string, error) { return "Mallory's", nil }
	_, err = arpc.Dial(context.Background(), address, arpc.WithToken(wrong))
	fmt.Println(arpc.CodeOf(err))
	// Output:
	// ada <nil>
	// unauthenticated
}

// A caller that gives up reaches the handler.
func ExampleClient_CallWith_cancel() {
	s := server.New()
	started, stopped := make(chan struct{}), make(chan error, 1)
	s.Handler.Handle("/render", func(ctx *arpc.Context) {
		close(started)
		<-ctx.Done() // a Context is a context.Context: give it to whatever takes long
		stopped <- context.Cause(ctx)
		_ = ctx.Error(context.Cause(ctx))
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-started
		cancel()
	}()
	err := c.CallWith(ctx, "/render", nil, nil)
	fmt.Println("caller:", arpc.CodeOf(err))
	fmt.Println("handler:", <-stopped)
	// Output:
	// caller: canceled
	// handler: canceled: canceled by the caller
}

func ExampleClient_NewStream() {
	s := server.New()
	s.Handler.HandleStream("/upper", func(stream *arpc.Stream) {
		for m, err := range stream.Messages() {
			if err != nil {
				return
			}
			if err := stream.Send(strings.ToUpper(string(m.Data))); err != nil {
				return
			}
		}
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	stream := c.NewStream("/upper")
	for _, word := range []string{"both", "ways"} {
		if err := stream.Send(word); err != nil {
			log.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		log.Fatal(err)
	}
	for m, err := range stream.Messages() { // until the other end is done
		fmt.Println(string(m.Data), err)
	}
	// Output:
	// BOTH <nil>
	// WAYS <nil>
}

func ExampleHandler_HandleStream() {
	s := server.New()
	s.Handler.HandleStream("/count", func(stream *arpc.Stream) {
		var to int
		if err := stream.Recv(&to); err != nil {
			return
		}
		for i := 1; i <= min(to, 2); i++ {
			if err := stream.Send(i); err != nil { // waits while the receiver is behind
				return
			}
		}
		_ = stream.Fail(arpc.Errorf(arpc.CodeOutOfRange, "I can count to 2"))
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	stream := c.NewStream("/count")
	if err := stream.SendAndClose(3); err != nil {
		log.Fatal(err)
	}
	for {
		var n int
		if err := stream.Recv(&n); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 2
	// out_of_range: I can count to 2
}

// An error takes data along, for programs rather than people.
func ExampleError_data() {
	s := server.New()
	s.Handler.Handle("/pay", func(ctx *arpc.Context) {
		_ = ctx.Error(&arpc.Error{
			Code:    arpc.CodeFailedPrecondition,
			Message: "not enough money",
			Data:    []byte(`{"missing":3}`),
		})
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	err := c.Call("/pay", 7, nil, 5*time.Second)
	var told *arpc.Error
	if errors.As(err, &told) {
		fmt.Printf("%s: %s, %s\n", told.Code, told.Message, told.Data)
	}
	// Output: failed_precondition: not enough money, {"missing":3}
}

// Without hello both ends keep to the base protocol, where an error is a text.
func ExampleWithHello() {
	s := server.New()
	s.Handler.Handle("/pay", func(ctx *arpc.Context) {
		_ = ctx.Error(arpc.Errorf(arpc.CodeFailedPrecondition, "not enough money"))
	})
	address := exampleServe(s)
	defer exampleEnd(s)

	for _, mode := range []arpc.HelloMode{arpc.HelloRequire, arpc.HelloNever} {
		c, err := arpc.Dial(context.Background(), address, arpc.WithHello(mode))
		if err != nil {
			log.Fatal(err)
		}
		err = c.Call("/pay", 7, nil, 5*time.Second)
		fmt.Println(arpc.CodeOf(err), "-", err)
		exampleStop(c)
	}
	// Output:
	// failed_precondition - failed_precondition: not enough money
	// unknown - not enough money
}

// A client that is sent away ends what is under way and comes back by itself.
func ExampleClient_Drain() {
	s := server.New()
	started, release := make(chan struct{}), make(chan struct{})
	s.Handler.Handle("/slow", func(ctx *arpc.Context) {
		close(started)
		<-release
		_ = ctx.Write("done")
	})
	s.Handler.Handle("/hello", func(ctx *arpc.Context) { _ = ctx.Write("hello again") })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	slow := make(chan string, 1)
	go func() {
		var reply string
		err := c.Call("/slow", nil, &reply, 5*time.Second)
		slow <- fmt.Sprint(reply, " ", err)
	}()
	<-started
	drained := make(chan error, 1)
	go func() { drained <- s.Clients()[0].Drain(context.Background()) }()
	close(release)
	fmt.Println(<-slow)
	fmt.Println("drained:", <-drained)

	var reply string
	err := c.Call("/hello", nil, &reply, 10*time.Second) // on the next connection
	fmt.Println(reply, err)
	// Output:
	// done <nil>
	// drained: <nil>
	// hello again <nil>
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
