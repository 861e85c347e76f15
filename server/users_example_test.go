package server_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// exampleNamed is a server whose clients are who their token says.
func exampleNamed() *server.Server {
	s := server.New()
	s.Handler.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
		if cr.Token == "" {
			return nil, nil // the token is still to come
		}
		return &arpc.Identity{ID: cr.Token}, nil
	})
	return s
}

// exampleAs is a client with a token.
func exampleAs(address, token string, h *arpc.Handler) *arpc.Client {
	return exampleDial(address, arpc.WithHandler(h),
		arpc.WithToken(func(context.Context) (string, error) { return token, nil }))
}

// Every connection of a user gets it: the page on the desk and the one on the phone.
func ExampleServer_SendToUser() {
	s := exampleNamed()
	address := exampleServe(s)
	defer exampleEnd(s)
	heard := make(chan string)
	for _, device := range []string{"desk", "phone"} {
		h := arpc.NewHandler()
		h.Handle("/mail", func(ctx *arpc.Context) { heard <- device + ": " + string(ctx.Body()) })
		defer exampleStop(exampleAs(address, "ada", h))
	}

	clients, err := s.SendToUser("ada", "/mail", "from Bob")
	if err != nil {
		log.Fatal(err)
	}
	both := []string{<-heard, <-heard}
	slices.Sort(both)
	fmt.Println(clients, both)
	// Output: 2 [desk: from Bob phone: from Bob]
}

func ExampleServer_Gather() {
	s := exampleNamed()
	address := exampleServe(s)
	defer exampleEnd(s)
	for token, answer := range map[string]any{"ada": 3, "bob": arpc.Errorf(arpc.CodeUnavailable, "asleep")} {
		h := arpc.NewHandler()
		h.Handle("/unread", func(ctx *arpc.Context) {
			if err, failed := answer.(error); failed {
				_ = ctx.Error(err)
				return
			}
			_ = ctx.Write(answer)
		})
		defer exampleStop(exampleAs(address, token, h))
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	replies, err := s.Gather(ctx, "/unread", nil, nil) // of all clients
	if err != nil {
		log.Fatal(err)
	}
	told := []string{}
	for _, r := range replies {
		var unread int
		err := r.Decode(&unread)
		told = append(told, fmt.Sprintf("%s: %d, %s", r.Client.Identity().ID, unread, arpc.CodeOf(err)))
	}
	slices.Sort(told)
	fmt.Println(told)
	// Output: [ada: 3,  bob: 0, unavailable]
}
