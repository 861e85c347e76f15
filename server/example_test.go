package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

func ExampleNew() {
	s := server.New()
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })

	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	c := exampleDial("tcp://" + ln.Addr().String())
	var reply string
	err = c.Call("/echo", "over TCP", &reply, 5*time.Second)
	fmt.Println(reply, err)

	exampleEnd(s)
	fmt.Println(<-served)
	exampleStop(c)
	// Output:
	// over TCP <nil>
	// server closed
}

func ExampleServer_WebSocket() {
	s := server.New()
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })

	mux := http.NewServeMux()
	mux.Handle("/ws", s.WebSocket())
	web := httptest.NewServer(mux)
	defer web.Close()
	defer exampleEnd(s)

	c := exampleDial(strings.Replace(web.URL, "http", "ws", 1) + "/ws")
	defer exampleStop(c)
	var reply string
	err := c.Call("/echo", "over WebSocket", &reply, 5*time.Second)
	fmt.Println(reply, err)
	// Output: over WebSocket <nil>
}

func ExampleServer_Broadcast() {
	s := server.New()
	connected := make(chan struct{})
	s.Handler.HandleConnected(func(*arpc.Client) { connected <- struct{}{} })
	address := exampleServe(s)
	defer exampleEnd(s)

	heard := make(chan string)
	h := arpc.NewHandler()
	h.Handle("/news", func(ctx *arpc.Context) { heard <- string(ctx.Body()) })
	for range 2 {
		c := exampleDial(address, arpc.WithHandler(h))
		defer exampleStop(c)
		<-connected
	}

	if err := s.Broadcast("/news", "to everybody"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	fmt.Println(<-heard)
	// Output:
	// to everybody
	// to everybody
}

func ExampleServer_BroadcastWithFilter() {
	s := server.New()
	s.Handler.Handle("/join", func(ctx *arpc.Context) {
		ctx.Client.Set("room", string(ctx.Body()))
		_ = ctx.Write(nil)
	})
	connected := make(chan struct{})
	s.Handler.HandleConnected(func(*arpc.Client) { connected <- struct{}{} })
	address := exampleServe(s)
	defer exampleEnd(s)

	heard := make(chan string, 2)
	for _, room := range []string{"tea", "coffee"} {
		h := arpc.NewHandler()
		h.Handle("/news", func(ctx *arpc.Context) { heard <- room + ": " + string(ctx.Body()) })
		c := exampleDial(address, arpc.WithHandler(h))
		defer exampleStop(c)
		<-connected
		if err := c.Call("/join", room, nil, 5*time.Second); err != nil {
			log.Fatal(err)
		}
	}

	err := s.BroadcastWithFilter("/news", "the kettle is on", func(c *arpc.Client) bool {
		room, _ := c.Get("room")
		return room == "tea"
	})
	fmt.Println(<-heard, err)
	// Output: tea: the kettle is on <nil>
}

func ExampleServer_Shutdown() {
	s := server.New()
	begun := make(chan struct{})
	proceed := make(chan struct{})
	s.Handler.Handle("/work", func(ctx *arpc.Context) {
		close(begun)
		<-proceed
		_ = ctx.Write("done")
	})
	c := exampleDial(exampleServe(s))
	defer exampleStop(c)

	answered := make(chan string, 1)
	go func() {
		var reply string
		err := c.Call("/work", nil, &reply, 5*time.Second)
		answered <- fmt.Sprint(reply, " ", err)
	}()
	<-begun

	down := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		down <- s.Shutdown(ctx) // waits for the request under way
	}()
	close(proceed)
	fmt.Println(<-answered)
	fmt.Println(<-down)
	// Output:
	// done <nil>
	// <nil>
}

func ExampleAllowOrigins() {
	s := server.New(server.AllowOrigins("https://app.example.org"))
	s.Handler.SetLogger(slog.New(slog.DiscardHandler))
	web := httptest.NewServer(s.WebSocket())
	defer web.Close()
	defer exampleEnd(s)

	for _, origin := range []string{"https://app.example.org", "https://evil.example"} {
		req, err := http.NewRequest(http.MethodGet, web.URL, nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header = http.Header{
			"Connection":            {"Upgrade"},
			"Upgrade":               {"websocket"},
			"Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key":     {"dGhlIHNhbXBsZSBub25jZQ=="},
			"Origin":                {origin},
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			log.Fatal(err)
		}
		res.Body.Close()
		fmt.Println(origin, res.StatusCode)
	}
	// Output:
	// https://app.example.org 101
	// https://evil.example 403
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

// exampleDial returns a client of the server at an address.
func exampleDial(address string, opts ...arpc.ClientOption) *arpc.Client {
	c, err := arpc.Dial(context.Background(), address, opts...)
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

func ExampleServer_HTTP() {
	s := server.New()
	s.Handler.Handle("/hello", func(ctx *arpc.Context) {
		var name string
		if err := ctx.Bind(&name); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write("hello, " + name)
	})
	mux := http.NewServeMux()
	mux.Handle("/ws", s.WebSocket())
	mux.Handle("/call/", http.StripPrefix("/call", s.HTTP()))
	web := httptest.NewServer(mux)
	defer web.Close()
	defer exampleEnd(s)

	answer, err := http.Post(web.URL+"/call/hello", "application/json", strings.NewReader(`"Ada"`))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Println(answer.Status, string(body), err)
	// Output: 200 OK "hello, Ada" <nil>
}

func ExampleTrustedProxies() {
	s := server.New(server.TrustedProxies(netip.MustParsePrefix("127.0.0.1/32")))
	s.Handler.Handle("/from", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.RemoteAddr().String()) })
	web := httptest.NewServer(s.HTTP())
	defer web.Close()
	defer exampleEnd(s)

	r, err := http.NewRequest(http.MethodPost, web.URL+"/from", nil)
	if err != nil {
		log.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Println(string(body), err)
	// Output: "203.0.113.7:0" <nil>
}

func ExampleServer_Shutdown_behindHTTP() {
	s := server.New()
	mux := http.NewServeMux()
	mux.Handle("/ws", s.WebSocket())
	web := &http.Server{
		Addr:              ":443",
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	// Serve, and when it is time to go:
	within, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	err := errors.Join(s.Shutdown(within), web.Shutdown(within))
	fmt.Println(err)
	// Output: <nil>
}
