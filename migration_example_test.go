package arpc_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// The examples in this file are those of docs/migration.md.

func Example_routes() {
	s := server.New()

	s.Handler.Handle("/route", func(ctx *arpc.Context) { _ = ctx.Write("requests run concurrently") })
	s.Handler.Handle("/ordered", func(ctx *arpc.Context) { _ = ctx.Write("one after the other") }, arpc.Ordered)
	s.Handler.Handle("/inline", func(ctx *arpc.Context) { _ = ctx.Write("where the connection is read") }, arpc.Inline)
	s.Handler.Handle("/async", func(ctx *arpc.Context) { _ = ctx.Write("notifies too run concurrently") }, true)

	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)
	for _, method := range []string{"/route", "/ordered", "/inline", "/async"} {
		var reply string
		err := c.Call(method, nil, &reply, 5*time.Second)
		fmt.Println(reply, err)
	}
	// Output:
	// requests run concurrently <nil>
	// one after the other <nil>
	// where the connection is read <nil>
	// notifies too run concurrently <nil>
}

func Example_callAsync() {
	s := server.New()
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	done := make(chan struct{})
	err := c.CallAsync("/echo", "later", func(ctx *arpc.Context, err error) {
		defer close(done)
		var reply string
		if err == nil {
			err = ctx.Bind(&reply)
		}
		fmt.Println(reply, err)
	}, 5*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	<-done
	// Output: later <nil>
}

func Example_invoke() {
	type Order struct{ Item string }
	type Receipt struct{ Total int }

	s := server.New()
	arpc.Route(s.Handler, "/order", func(_ *arpc.Context, order Order) (Receipt, error) {
		if order.Item != "tea" {
			return Receipt{}, arpc.Errorf(arpc.CodeNotFound, "no %s here", order.Item)
		}
		return Receipt{Total: 3}, nil
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	for _, item := range []string{"tea", "coffee"} {
		receipt, err := arpc.Invoke[Receipt](context.Background(), c, "/order", Order{item})
		fmt.Println(receipt.Total, err)
	}
	// Output:
	// 3 <nil>
	// 0 not_found: no coffee here
}

// Greeter is a service: its methods are handlers.
type Greeter struct{ greeting string }

func (g *Greeter) Greet(_ *arpc.Context, name string) (string, error) {
	if name == "" {
		return "", arpc.Errorf(arpc.CodeInvalidArgument, "whom?")
	}
	return g.greeting + ", " + name, nil
}

func Example_register() {
	s := server.New()
	fmt.Println(s.Handler.Register(&Greeter{greeting: "hello"}))
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	var reply string
	err := c.Call("Greeter.Greet", "Ada", &reply, 5*time.Second)
	fmt.Println(reply, err)
	// Output:
	// [Greeter.Greet]
	// hello, Ada <nil>
}

func Example_serverCall() {
	s := server.New()
	joined, left := make(chan *arpc.Client, 1), make(chan struct{})
	s.Handler.Handle("/join", func(ctx *arpc.Context) {
		ctx.Client.OnDisconnected(func(*arpc.Client) { close(left) })
		joined <- ctx.Client
		_ = ctx.Write(nil)
	})
	address := exampleServe(s)
	defer exampleEnd(s)

	h := arpc.NewHandler() // routes of a client are there before it dials
	h.Handle("/name", func(ctx *arpc.Context) { _ = ctx.Write("Ada") })
	c, err := arpc.Dial(context.Background(), address, arpc.WithHandler(h))
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Call("/join", nil, nil, 5*time.Second); err != nil {
		log.Fatal(err)
	}

	client := <-joined // kept by the server
	var name string
	err = client.Call("/name", nil, &name, 5*time.Second)
	fmt.Println(name, err)

	exampleStop(c)
	<-left
	fmt.Println(arpc.CodeOf(client.Notify("/late", nil, arpc.TimeZero)))
	// Output:
	// Ada <nil>
	// unavailable
}

func Example_broadcast() {
	s := server.New()
	address := exampleServe(s)
	defer exampleEnd(s)
	heard := make(chan string, 4)
	for range 2 {
		h := arpc.NewHandler()
		h.Handle("/news", func(ctx *arpc.Context) { heard <- string(ctx.Body()) })
		c, err := arpc.Dial(context.Background(), address, arpc.WithHandler(h))
		if err != nil {
			log.Fatal(err)
		}
		defer exampleStop(c)
	}

	if err := s.Broadcast("/news", "to everybody"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard, "-", <-heard)

	m, err := s.Handler.NewMessage(arpc.CmdNotify, "/news", "by hand") // encoded once
	if err != nil {
		log.Fatal(err)
	}
	s.ForEach(func(c *arpc.Client) {
		if err := c.PushMsg(m, arpc.TimeZero); err != nil {
			log.Print(err)
		}
	})
	fmt.Println(<-heard, "-", <-heard)
	// Output:
	// to everybody - to everybody
	// by hand - by hand
}

func Example_asyncResponse() {
	s := server.New()
	s.Handler.Handle("/later", func(ctx *arpc.Context) {
		go func() { _ = ctx.Write("the handler is long gone") }() // a Context may be kept
	})
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	var reply string
	err := c.Call("/later", nil, &reply, 5*time.Second)
	fmt.Println(reply, err)
	// Output: the handler is long gone <nil>
}

func Example_overstock() {
	h := arpc.NewHandler()
	h.SetSendQueueSize(4)
	refused := make(chan string, 1)
	h.HandleOverstock(func(_ *arpc.Client, m *arpc.Message) { refused <- m.Method() })

	near, far := net.Pipe() // whose far end reads nothing
	c := h.ServeConn(near, arpc.Accepted{})
	var err error
	for err == nil {
		err = c.Notify("/news", "x", arpc.TimeZero)
	}
	fmt.Println(errors.Is(err, arpc.ErrOverstock), <-refused)

	far.Close()
	<-c.Done()
	// Output: true /news
}

// XML is a codec.
type XML struct{}

func (XML) Name() string { return "xml" }

func (XML) Append(dst []byte, v any) ([]byte, error) {
	b, err := xml.Marshal(v)
	return append(dst, b...), err
}

func (XML) Unmarshal(data []byte, v any) error { return xml.Unmarshal(data, v) }

func Example_codec() {
	s := server.New()
	s.Handler.SetCodec(XML{})
	s.Handler.Handle("/order", func(ctx *arpc.Context) { _ = ctx.Write(string(ctx.Body())) })
	address := exampleServe(s)
	defer exampleEnd(s)

	h := arpc.NewHandler()
	h.SetCodec(XML{}) // hello refuses a client whose codec has another name
	c, err := arpc.Dial(context.Background(), address, arpc.WithHandler(h))
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)

	type Order struct{ Count int }
	var wire string
	err = c.Call("/order", Order{3}, &wire, 5*time.Second)
	fmt.Println(wire, err)
	// Output: <Order><Count>3</Count></Order> <nil>
}

func Example_logger() {
	s := server.New()
	s.Handler.SetLogger(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == "time" || a.Key == "stack" {
				return slog.Attr{}
			}
			return a
		},
	})))
	s.Handler.Handle("/panic", func(*arpc.Context) { panic("oops") })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	fmt.Println(c.Call("/panic", nil, nil, 5*time.Second))
	// Output:
	// level=ERROR msg="arpc: handler panicked" method=/panic panic=oops
	// internal: internal error
}

func Example_beforeRecvAndSend() {
	s := server.New()
	var reads, writes atomic.Int32
	s.Handler.BeforeRecv(func(conn net.Conn) error {
		reads.Add(1)
		return conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	})
	s.Handler.BeforeSend(func(net.Conn) error {
		writes.Add(1)
		return nil
	})
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	err := c.Call("/echo", "hi", nil, 5*time.Second)
	fmt.Println(reads.Load() > 0, writes.Load() > 0, err)
	// Output: true true <nil>
}

func Example_readerWrapper() {
	s := server.New()
	s.Handler.SetReaderWrapper(func(conn net.Conn) io.Reader { return bufio.NewReaderSize(conn, 64<<10) })
	s.Handler.Handle("/size", func(ctx *arpc.Context) { _ = ctx.Write(len(ctx.Body())) })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	var size int
	err := c.Call("/size", bytes.Repeat([]byte("x"), 1<<20), &size, 5*time.Second)
	fmt.Println(size, err)
	// Output: 1048576 <nil>
}

func Example_restart() {
	s := server.New()
	connections := make(chan struct{}, 2)
	s.Handler.HandleConnected(func(*arpc.Client) { connections <- struct{}{} })
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	c := exampleClient(s)
	defer exampleEnd(s)
	defer exampleStop(c)

	<-connections
	c.Restart() // hangs up and dials again
	<-connections
	fmt.Println(c.Call("/echo", nil, nil, 5*time.Second))
	// Output: <nil>
}
