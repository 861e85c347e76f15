package bolt_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/bolt"
)

// A server is started again: what was published before is there.
func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	for _, news := range []string{"before the restart", "after it"} {
		b, err := bolt.Open(filepath.Join(folder, "topics.db"))
		if err != nil {
			log.Fatal(err)
		}
		s := pubsub.NewServer(pubsub.Open(), pubsub.WithBroker(b)) // closes b when it ends
		address := exampleServe(s)

		c, err := pubsub.Dial(context.Background(), address)
		if err != nil {
			log.Fatal(err)
		}
		sub, err := c.Subscribe("news", nil, pubsub.Last(10))
		if err != nil {
			log.Fatal(err)
		}
		at, err := c.Publish("news", news)
		if err != nil {
			log.Fatal(err)
		}
		for m, err := range sub.All(context.Background()) {
			if err != nil {
				log.Fatal(err)
			}
			var text string
			if err := m.Bind(&text); err != nil {
				log.Fatal(err)
			}
			fmt.Println(m.Offset, text)
			if m.Offset == at.Offset {
				break
			}
		}
		c.Stop()
		<-c.Done()
		exampleEnd(s)
	}
	// Output:
	// 1 before the restart
	// 1 before the restart
	// 2 after it
}

func exampleServe(s *pubsub.Server) (address string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	return "tcp://" + ln.Addr().String()
}

func exampleEnd(s *pubsub.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
