package pubsub_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-fbfaa03e/arpc/pubsub"
)

func ExamplePublishRoute() {
	rules := func(_ context.Context, a pubsub.Access) error { return nil } // what a.Client may do with a.Topic

	mux := http.NewServeMux()
	s := pubsub.NewServer(pubsub.Authorize(rules), pubsub.PublishRoute("/publish"))
	mux.Handle("/call/", http.StripPrefix("/call", s.HTTP()))

	post := httptest.NewRequest(http.MethodPost, "/call/publish", strings.NewReader(`{"topic": "orders", "data": {"id": 14}, "key": "order-14"}`))
	post.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, post)
	fmt.Println(answer.Code, strings.Contains(answer.Body.String(), `"offset"`))
	fmt.Println(s.Shutdown(context.Background()))
	// Output:
	// 200 true
	// <nil>
}
