package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/scenarios"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/server"
)

// wait is how long a step may take.
const wait = 20 * time.Second

// The table, between two Go peers, over each door.
func TestScenarios(t *testing.T) {
	all, err := scenarios.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func(*arpc.Handler){
		"in plain": func(*arpc.Handler) {},
		"coded":    scenarios.UseCoders,
	} {
		for door, address := range serve(t, prepare) {
			for _, scenario := range all {
				t.Run(name+"/"+door+"/"+scenario.Name, func(t *testing.T) { run(t, address, scenario, prepare) })
			}
		}
	}
}

// serve starts the server; it returns the address of each door.
func serve(t *testing.T, prepare func(*arpc.Handler)) map[string]string {
	topics := pubsub.NewServer(pubsub.Open())
	scenarios.Mount(topics.Handler)
	prepare(topics.Handler)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- topics.Serve(tcp) }()
	web := httptest.NewServer(topics.WebSocket())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if err := topics.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		web.Close()
		if err := <-served; !errors.Is(err, server.ErrClosed) {
			t.Error(err)
		}
	})
	return map[string]string{
		"tcp":       "tcp://" + tcp.Addr().String(),
		"websocket": "ws" + strings.TrimPrefix(web.URL, "http"),
	}
}

// A player is the Go client that runs one scenario.
type player struct {
	*pubsub.Client
	inboxes map[string]chan arpc.Raw // of notifies and publications, by method or topic
}

func run(t *testing.T, address string, scenario scenarios.Scenario, prepare func(*arpc.Handler)) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	p := player{inboxes: map[string]chan arpc.Raw{}}
	handler := arpc.NewHandler()
	prepare(handler)
	for method, h := range scenario.Handlers {
		p.inboxes[method] = make(chan arpc.Raw, 1<<12)
		handler.Handle(method, func(ctx *arpc.Context) { p.handle(ctx, h) })
	}
	for _, step := range scenario.Steps {
		if step.Topic != "" {
			p.inboxes[step.Topic] = make(chan arpc.Raw, 1<<12)
		}
	}
	client, err := pubsub.Dial(ctx, address, pubsub.WithHandler(handler))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Stop()
	p.Client = client
	for i, step := range scenario.Steps {
		if err := p.play(ctx, step); err != nil {
			t.Fatalf("step %d, %s %s%s: %v", i+1, step.Do, step.Method, step.Topic, err)
		}
	}
}

func (p player) handle(ctx *arpc.Context, h scenarios.Handler) {
	switch {
	case h.Record:
		p.inboxes[ctx.Method()] <- ctx.Raw()
	case h.Echo:
		_ = ctx.Write(ctx.Raw())
	case h.Error != nil:
		failure := arpc.Errorf(h.Error.Code, "%s", *h.Error.Message)
		failure.Data = h.Error.Data
		_ = ctx.Error(failure)
	default:
		body, _ := h.Reply.Body(0)
		_ = ctx.Write(body)
	}
}

func (p player) play(ctx context.Context, step scenarios.Step) error {
	body, err := step.Body.Body(0)
	if err != nil {
		return err
	}
	switch step.Do {
	case "call":
		return p.calls(ctx, step)
	case "notify":
		return repeat(step.Times, func(i int) error {
			body, _ := step.Body.Body(i)
			return p.NotifyWith(ctx, step.Method, body)
		})
	case "receive":
		return repeat(step.Times, func(i int) error { return p.receive(ctx, step.Method, step.Body, i) })
	case "stream":
		return p.stream(step)
	case "subscribe":
		_, err := p.Subscribe(step.Topic, func(m *pubsub.Message) { p.inboxes[m.Topic] <- m.Data })
		return err
	case "publish":
		_, err := p.Publish(step.Topic, body)
		return err
	case "message":
		return p.receive(ctx, step.Topic, step.Body, 0)
	}
	return fmt.Errorf("there is no step %q", step.Do)
}

func repeat(times int, f func(i int) error) error {
	for i := range max(times, 1) {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

func (p player) calls(ctx context.Context, step scenarios.Step) error {
	results := make(chan error)
	for i := range max(step.Times, 1) {
		go func() { results <- p.call(ctx, step, i) }()
	}
	return repeat(step.Times, func(int) error { return <-results })
}

func (p player) call(ctx context.Context, step scenarios.Step, i int) error {
	body, err := step.Body.Body(i)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if step.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(step.Timeout)*time.Millisecond)
		defer cancel()
	}
	if step.CancelOn != "" {
		go func() {
			<-p.inboxes[step.CancelOn]
			cancel()
		}()
	}
	var reply arpc.Raw
	err = p.CallWith(ctx, step.Method, body, &reply)
	switch {
	case step.Error != nil:
		return step.Error.Matches(err)
	case err != nil:
		return err
	}
	return step.Reply.Matches(reply, i)
}

func (p player) receive(ctx context.Context, from string, want scenarios.Value, i int) error {
	select {
	case got := <-p.inboxes[from]:
		return want.Matches(got, i)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p player) stream(step scenarios.Step) error {
	err := p.exchange(step)
	if step.Error != nil {
		return step.Error.Matches(err)
	}
	return err
}

// exchange sends all, then compares what comes until the peer's end.
func (p player) exchange(step scenarios.Step) error {
	stream := p.NewStream(step.Method)
	defer stream.Close()
	sent := make(chan error, 1)
	go func() { sent <- send(stream, step.Send) }()
	i := 0
	for got, err := range stream.Messages() {
		switch {
		case err != nil:
			return err
		case i == len(step.Receive):
			return fmt.Errorf("one more came: %.60q", got.Data)
		}
		if err := step.Receive[i].Matches(got, 0); err != nil {
			return err
		}
		i++
	}
	if i < len(step.Receive) {
		return fmt.Errorf("only %d came", i)
	}
	return <-sent
}

func send(stream *arpc.Stream, all []scenarios.Value) error {
	for _, v := range all {
		body, err := v.Body(0)
		if err != nil {
			return err
		}
		if err := stream.Send(body); err != nil {
			return err
		}
	}
	return stream.CloseSend()
}
