package scenarios_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/scenarios"
	"github.com/seed-fbfaa03e/arpc/pubsub"
)

// A player is a Go client that does the steps of one peer.
type player struct {
	*pubsub.Client
	epochs        epochs
	subscriptions map[string]*pubsub.Subscription

	mu      sync.Mutex
	inboxes map[string]chan any // guarded by mu; by method, topic, topic and " members", or session
}

// session is the inbox of what becomes of it.
const session = "the session"

// epochs are those of the topics of a scenario, which all its players know.
type epochs map[string]string

func newPlayer(ctx context.Context, address string, scenario scenarios.Scenario, known epochs, prepare func(*arpc.Handler)) (*player, error) {
	p := &player{epochs: known, subscriptions: map[string]*pubsub.Subscription{}, inboxes: map[string]chan any{}}
	handler := arpc.NewHandler()
	prepare(handler)
	for method, h := range scenario.Handlers {
		if h.Upper || h.Break {
			handler.HandleStream(method, func(s *arpc.Stream) { serveStream(s, h) })
			continue
		}
		handler.Handle(method, func(ctx *arpc.Context) { p.handle(ctx, h) })
	}
	if scenario.Session == "none" {
		handler.SetLimits(arpc.Limits{Grace: -1})
	}
	p.watchSession(handler)
	joined := func(topic string) func(*pubsub.Message) {
		return func(m *pubsub.Message) { p.inbox(topic) <- m }
	}
	quickly := arpc.WithBackoff(arpc.Backoff{First: time.Millisecond, Max: 20 * time.Millisecond, Stable: time.Millisecond})
	extended := arpc.WithHello(arpc.HelloRequire) // a server that is only slow is no base server
	for {
		var err error
		p.Client, err = pubsub.Dial(ctx, address, pubsub.WithHandler(handler), pubsub.WithJoined(joined), pubsub.WithClientOptions(quickly, extended))
		if arpc.CodeOf(err) != arpc.CodeUnavailable || ctx.Err() != nil {
			return p, err
		}
	}
}

func (p *player) watchSession(h *arpc.Handler) {
	h.HandlePaused(func(*arpc.Client, error) { p.inbox(session) <- "paused" })
	h.HandleResumed(func(*arpc.Client) { p.inbox(session) <- "resumed" })
	h.HandleDisconnected(func(*arpc.Client, error) { p.inbox(session) <- "lost" })
}

// inbox holds what came by a name until a step takes it.
func (p *player) inbox(name string) chan any {
	p.mu.Lock()
	defer p.mu.Unlock()
	inbox := p.inboxes[name]
	if inbox == nil {
		inbox = make(chan any, 1<<12)
		p.inboxes[name] = inbox
	}
	return inbox
}

func (p *player) take(ctx context.Context, name string) (any, error) {
	select {
	case got := <-p.inbox(name):
		return got, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *player) handle(ctx *arpc.Context, h scenarios.Handler) {
	switch {
	case h.Record:
		p.inbox(ctx.Method()) <- ctx.Raw()
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

func serveStream(s *arpc.Stream, h scenarios.Handler) {
	for message, err := range s.Messages() {
		if err != nil || s.Send(strings.ToUpper(string(message.Data))) != nil {
			return
		}
	}
	if h.Break {
		_ = s.Fail(arpc.Errorf(arpc.CodeAborted, "broken"))
	}
}

func (p *player) play(ctx context.Context, step scenarios.Step) error {
	switch step.Do {
	case "call":
		return p.calls(ctx, step)
	case "notify":
		return repeat(step.Times, func(i int) error {
			body, err := step.Body.Body(i)
			if err != nil {
				return err
			}
			return p.NotifyWith(ctx, step.Method, body)
		})
	case "receive":
		return repeat(step.Times, func(i int) error {
			got, err := p.take(ctx, step.Method)
			if err != nil {
				return err
			}
			return step.Body.Matches(got.(arpc.Raw), i)
		})
	case "stream":
		return expect(step.Error, p.exchange(step))
	case "session":
		return p.expectOfSession(ctx, step.Events)
	}
	return p.playTopic(ctx, step)
}

func (p *player) expectOfSession(ctx context.Context, events []string) error {
	for _, want := range events {
		if got, err := p.take(ctx, session); err != nil || got != want {
			return fmt.Errorf("got %v, %w, want %s", got, err, want)
		}
	}
	return nil
}

func (p *player) calls(ctx context.Context, step scenarios.Step) error {
	results := make(chan error)
	for i := range max(step.Times, 1) {
		go func() { results <- p.call(ctx, step, i) }()
	}
	var failure error
	for range max(step.Times, 1) {
		if err := <-results; err != nil {
			failure = err
		}
	}
	return failure
}

func (p *player) call(ctx context.Context, step scenarios.Step, i int) error {
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
			_, _ = p.take(ctx, step.CancelOn)
			cancel()
		}()
	}
	var reply arpc.Raw
	err = p.CallWith(ctx, step.Method, body, &reply)
	if err != nil || step.Error != nil {
		return expect(step.Error, err)
	}
	return step.Reply.Matches(reply, i)
}

// exchange sends all, then compares what comes until the peer's end.
func (p *player) exchange(step scenarios.Step) error {
	stream := p.NewStream(step.Method)
	defer stream.Close()
	sent := make(chan error, 1)
	go func() { sent <- scenarios.SendAll(stream, step.Send) }()
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
		if i++; step.Leave && i == len(step.Receive) {
			break // which cancels it
		}
	}
	if i < len(step.Receive) {
		return fmt.Errorf("only %d came", i)
	}
	return <-sent
}
