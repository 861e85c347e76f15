package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// exampleHub is a server that keeps what is published, and a client.
func exampleHub(opts ...pubsub.Option) (s *pubsub.Server, c *pubsub.Client, end func()) {
	keep := pubsub.Topics(func(_ string, s *pubsub.TopicSettings) { s.Keep = true })
	s = pubsub.NewServer(append(opts, pubsub.Open(), keep)...)
	c = exampleDial(exampleServe(s))
	return s, c, func() { exampleStop(c); exampleEnd(s) }
}

func examplePublish(s *pubsub.Server, name string, texts ...string) (last pubsub.Position) {
	for _, text := range texts {
		at, err := s.Publish(name, text)
		if err != nil {
			log.Fatal(err)
		}
		last = at
	}
	return last
}

func ExampleSubscription_All() {
	s, c, end := exampleHub()
	defer end()
	news, err := c.Subscribe("news", nil)
	if err != nil {
		log.Fatal(err)
	}
	examplePublish(s, "news", "one", "two")

	for m, err := range news.All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Offset, string(m.Data.Data))
		if m.Offset == 2 {
			break
		}
	}
	fmt.Println(news.Unsubscribe())
	// Output:
	// 1 one
	// 2 two
	// <nil>
}

// What was published while nobody was there comes when the position is known: of a
// program that ended, or of a page that was reloaded.
func ExampleSince() {
	s, c, end := exampleHub(pubsub.History(topic.Limits{Entries: 2}))
	defer end()
	read := examplePublish(s, "news", "one")
	examplePublish(s, "news", "two", "three", "four") // two are held

	heard := make(chan string)
	if _, err := c.Subscribe("news", func(m *pubsub.Message) { heard <- string(m.Data.Data) },
		pubsub.Since(read),
		pubsub.OnGap(func(g pubsub.Gap) { heard <- fmt.Sprint("gap before ", g.From) })); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard, <-heard, <-heard)
	// Output: gap before 3 three four
}

func ExampleLast() {
	s, c, end := exampleHub()
	defer end()
	examplePublish(s, "price", "10", "12", "11")

	heard := make(chan string)
	if _, err := c.Subscribe("price", func(m *pubsub.Message) { heard <- string(m.Data.Data) },
		pubsub.Last(1), pubsub.Latest(), pubsub.NoEcho()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	// Output: 11
}

// With a key it can be tried again, though nobody knows whether it landed.
func ExampleKey() {
	_, c, end := exampleHub()
	defer end()
	for range 2 {
		at, err := c.Publish("orders", "a chair", pubsub.Key("order 17"))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(at.Offset)
	}
	// Output:
	// 1
	// 1
}

func ExampleClient_History() {
	s, c, end := exampleHub()
	defer end()
	examplePublish(s, "news", "one", "two", "three")

	page, err := c.History("news", pubsub.HistoryQuery{Before: 3, Limit: 1})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(page.Messages[0].Data.Data), page.More, page.From, page.Last)
	// Output: two true 1 3
}

func ExampleHub_History() {
	s, _, end := exampleHub()
	defer end()
	examplePublish(s, "news", "one", "two", "three")

	query := pubsub.HistoryQuery{Oldest: true, Limit: 2}
	for more := true; more; {
		page, err := s.Hub.History(context.Background(), "news", query)
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range page.Messages {
			fmt.Println(m.Offset, string(m.Data.Data))
			query.After = m.Offset
		}
		more = page.More
	}
	// Output:
	// 1 one
	// 2 two
	// 3 three
}

func ExampleWithPresence() {
	s, c, end := exampleHub()
	defer end()
	came := make(chan string)
	if _, err := c.Subscribe("room", func(*pubsub.Message) {}, pubsub.WithPresence("Ada"),
		pubsub.OnMember(func(m pubsub.Member, here bool) { came <- fmt.Sprint(string(m.Info), " here: ", here) })); err != nil {
		log.Fatal(err)
	}
	other := exampleDial(exampleServe(s))
	defer exampleStop(other)
	room, err := other.Subscribe("room", func(*pubsub.Message) {}, pubsub.WithPresence("Bob"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-came)
	members, err := c.Presence("room")
	fmt.Println(len(members), err)
	fmt.Println(room.Unsubscribe())
	fmt.Println(<-came)
	// Output:
	// "Bob" here: true
	// 2 <nil>
	// <nil>
	// "Bob" here: false
}

func ExampleAuthorize() {
	authorize := func(_ context.Context, a pubsub.Access) error {
		if a.Operation == pubsub.OpPublish && strings.HasPrefix(a.Topic, "news") {
			return errors.New("only the server has news") // stays here: the client reads "not allowed"
		}
		return nil
	}
	_, c, end := exampleHub(pubsub.Authorize(authorize))
	defer end()

	_, err := c.Publish("news", "I am the king")
	fmt.Println(arpc.CodeOf(err))
	_, err = c.Publish("chat", "hello")
	fmt.Println(err)
	// Output:
	// permission_denied
	// <nil>
}
