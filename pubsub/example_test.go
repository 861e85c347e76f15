package pubsub_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/server"
)

func Example() {
	s := pubsub.NewServer(pubsub.Open())
	address := exampleServe(s)
	defer exampleEnd(s)

	c, err := pubsub.Dial(context.Background(), address)
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)

	heard := make(chan string)
	if _, err := c.Subscribe("news", func(m *pubsub.Message) {
		var text string
		if err := m.Bind(&text); err != nil {
			log.Print(err)
			return
		}
		heard <- fmt.Sprintf("%s %d: %s", m.Topic, m.Offset, text)
	}); err != nil {
		log.Fatal(err)
	}

	if _, err := c.Publish("news", "from a client"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)

	if _, err := s.Publish("news", "from the server"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	// Output:
	// news 1: from a client
	// news 2: from the server
}

func ExampleServer_PublishToOne() {
	s := pubsub.NewServer(pubsub.Open())
	address := exampleServe(s)
	defer exampleEnd(s)

	took := make(chan string)
	for _, worker := range []string{"first", "second"} {
		c := exampleDial(address)
		defer exampleStop(c)
		if _, err := c.Subscribe("jobs", func(m *pubsub.Message) {
			took <- worker + " worker: " + string(m.Data.Data)
		}); err != nil {
			log.Fatal(err)
		}
	}

	for _, job := range []string{"paint", "polish", "pack"} {
		if err := s.PublishToOne("jobs", job); err != nil {
			log.Fatal(err)
		}
		fmt.Println(<-took)
	}
	// Output:
	// first worker: paint
	// second worker: polish
	// first worker: pack
}

func ExamplePassword() {
	s := pubsub.NewServer(pubsub.Password("open sesame"))
	address := exampleServe(s)
	defer exampleEnd(s)

	_, err := pubsub.Dial(context.Background(), address, pubsub.WithPassword("open barley"))
	fmt.Println(err)

	stranger := exampleDial(address)
	defer exampleStop(stranger)
	_, err = stranger.Publish("news", "hello")
	fmt.Println(err)

	c, err := pubsub.Dial(context.Background(), address, pubsub.WithPassword("open sesame"))
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)
	_, err = c.Publish("news", "hello")
	fmt.Println(err)
	// Output:
	// authenticate: unauthenticated: wrong password
	// publish to "news": unauthenticated: not authenticated
	// <nil>
}

func ExampleHub_Mount() {
	s := server.New(server.AllowOrigins("https://app.example.org"))
	hub := pubsub.NewHub(pubsub.Open())
	hub.Mount(s.Handler)
	defer hub.Close()
	defer exampleEnd(s)

	web := httptest.NewServer(s.WebSocket())
	defer web.Close()
	c := exampleDial(strings.Replace(web.URL, "http", "ws", 1))
	defer exampleStop(c)

	heard := make(chan string)
	news, err := c.Subscribe("news", func(m *pubsub.Message) { heard <- string(m.Data.Data) })
	if err != nil {
		log.Fatal(err)
	}
	if _, err := hub.Publish("news", "a hub on a server of your own"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	fmt.Println(news.Unsubscribe())
	// Output:
	// a hub on a server of your own
	// <nil>
}

func ExampleMessage_Bind() {
	type Message struct {
		From, Text string
	}
	s := pubsub.NewServer(pubsub.Open())
	address := exampleServe(s)
	defer exampleEnd(s)
	c := exampleDial(address)
	defer exampleStop(c)

	heard := make(chan Message)
	if _, err := c.Subscribe("room", func(m *pubsub.Message) {
		var message Message
		if err := m.Bind(&message); err != nil {
			log.Print(err)
			return
		}
		heard <- message
	}); err != nil {
		log.Fatal(err)
	}
	if _, err := c.Publish("room", Message{From: "Ada", Text: "good morning"}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", <-heard)
	// Output: {From:Ada Text:good morning}
}

// exampleServe serves s on a free port and returns the address to dial.
func exampleServe(s *pubsub.Server) (address string) {
	ln, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	return "tcp://" + ln.Addr().String()
}

// exampleDial returns a client of the server at an address.
func exampleDial(address string) *pubsub.Client {
	c, err := pubsub.Dial(context.Background(), address)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// exampleStop ends a client and waits until it ended.
func exampleStop(c *pubsub.Client) {
	c.Stop()
	<-c.Done()
}

// exampleEnd ends a server with all its connections.
func exampleEnd(s interface{ Shutdown(context.Context) error }) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
