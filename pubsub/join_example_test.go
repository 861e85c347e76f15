package pubsub_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// The server puts each client into a topic as it connects; it asks for nothing, and
// could not ask for another one.
func ExampleHub_Join() {
	s := pubsub.NewServer(pubsub.Authorize(func(context.Context, pubsub.Access) error {
		return arpc.Errorf(arpc.CodePermissionDenied, "the server says who hears what")
	}))
	s.Handler.HandleConnected(func(c *arpc.Client) {
		if err := s.Hub.Join(context.Background(), c, "alarms"); err != nil {
			log.Print(err)
		}
	})
	address := exampleServe(s)
	defer exampleEnd(s)

	heard, in := make(chan string), make(chan string)
	c, err := pubsub.Dial(context.Background(), address, pubsub.WithJoined(func(topic string) func(*pubsub.Message) {
		go func() { in <- topic }()
		return func(m *pubsub.Message) { heard <- string(m.Data.Data) }
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer exampleStop(c)
	fmt.Println("in", <-in)

	examplePublish(s, "alarms", "the coffee is ready")
	fmt.Println(<-heard)
	_, err = c.Subscribe("salaries", nil)
	fmt.Println(arpc.CodeOf(err))
	// Output:
	// in alarms
	// the coffee is ready
	// permission_denied
}
