package scenarios_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/scenarios"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// A change is what happened to the members of a topic.
type change struct {
	member pubsub.Member
	here   bool
}

func (p *player) playTopic(ctx context.Context, step scenarios.Step) error {
	switch step.Do {
	case "subscribe":
		return expect(step.Error, p.subscribe(step))
	case "unsubscribe":
		return p.subscriptions[step.Topic].Unsubscribe()
	case "publish":
		return repeat(step.Times, func(i int) error { return expect(step.Error, p.publish(step, i)) })
	case "message":
		return repeat(step.Times, func(i int) error { return p.message(ctx, step, i) })
	case "gap":
		return p.gap(ctx, step)
	case "ended":
		got, err := p.take(ctx, step.Topic)
		if err != nil {
			return err
		}
		end, ok := got.(error)
		if !ok {
			return fmt.Errorf("got %+v, not the end", got)
		}
		return step.Error.Matches(end)
	case "join", "leave":
		return p.change(ctx, step)
	case "members":
		return p.members(ctx, step)
	case "present":
		members, err := p.Presence(step.Topic)
		if err != nil {
			return expect(step.Error, err)
		}
		return sameMembers(members, step.Receive)
	case "history":
		return p.history(step)
	}
	return fmt.Errorf("there is no step %q", step.Do)
}

func (p *player) subscribe(step scenarios.Step) error {
	inbox, members := p.inbox(step.Topic), p.inbox(step.Topic+" members")
	options := []pubsub.SubscribeOption{
		pubsub.OnGap(func(g pubsub.Gap) { inbox <- g }),
		pubsub.OnEnd(func(err error) { inbox <- err }),
	}
	if step.Since != nil {
		epoch := step.Epoch
		if epoch == "" {
			epoch = p.epochs[step.Topic]
		}
		options = append(options, pubsub.Since(pubsub.Position{Epoch: epoch, Offset: *step.Since}))
	}
	if step.Last > 0 {
		options = append(options, pubsub.Last(step.Last))
	}
	if step.Echo != nil && !*step.Echo {
		options = append(options, pubsub.NoEcho())
	}
	if step.Info != nil {
		options = append(options, pubsub.WithPresence(step.Info),
			pubsub.OnMember(func(m pubsub.Member, here bool) { members <- change{m, here} }))
	}
	s, err := p.Subscribe(step.Topic, func(m *pubsub.Message) { inbox <- m }, options...)
	if err != nil {
		return err
	}
	p.epochs[step.Topic] = s.Position().Epoch
	p.subscriptions[step.Topic] = s
	return nil
}

func (p *player) publish(step scenarios.Step, i int) error {
	body, err := step.Body.Body(i)
	if err != nil {
		return err
	}
	if step.One {
		return p.PublishToOne(step.Topic, body)
	}
	var options []pubsub.PublishOption
	if step.Key != "" {
		options = append(options, pubsub.Key(step.Key))
	}
	if step.Echo != nil && !*step.Echo {
		options = append(options, pubsub.NoEcho())
	}
	at, err := p.Publish(step.Topic, body, options...)
	if err == nil && step.Offset != nil && at.Offset != *step.Offset+uint64(i) {
		return fmt.Errorf("published at %d, want %d", at.Offset, *step.Offset+uint64(i))
	}
	return err
}

func (p *player) message(ctx context.Context, step scenarios.Step, i int) error {
	got, err := p.take(ctx, step.Topic)
	if err != nil {
		return err
	}
	m, ok := got.(*pubsub.Message)
	if !ok {
		return fmt.Errorf("got %+v, not a message", got)
	}
	if step.Offset != nil && m.Offset != *step.Offset+uint64(i) {
		return fmt.Errorf("at %d, want %d", m.Offset, *step.Offset+uint64(i))
	}
	return step.Body.Matches(m.Data, i)
}

func (p *player) gap(ctx context.Context, step scenarios.Step) error {
	got, err := p.take(ctx, step.Topic)
	if err != nil {
		return err
	}
	g, ok := got.(pubsub.Gap)
	if !ok || g.Missed != step.Missed || g.From != step.From {
		return fmt.Errorf("got %+v, want a gap of %d before %d", got, step.Missed, step.From)
	}
	return nil
}

func (p *player) change(ctx context.Context, step scenarios.Step) error {
	got, err := p.take(ctx, step.Topic+" members")
	if err != nil {
		return err
	}
	c := got.(change)
	if c.here != (step.Do == "join") {
		return fmt.Errorf("got %+v", c)
	}
	return step.Body.Matches(arpc.Raw{Kind: wire.Value, Data: c.member.Info}, 0)
}

// members waits until those are there who are to be.
func (p *player) members(ctx context.Context, step scenarios.Step) error {
	for {
		err := sameMembers(p.subscriptions[step.Topic].Members(), step.Receive)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func sameMembers(members []pubsub.Member, wanted []scenarios.Value) error {
	var got, want []string
	for _, m := range members {
		got = append(got, compact(m.Info))
	}
	for _, v := range wanted {
		want = append(want, compact(v.JSON))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("members %s, want %s", got, want)
	}
	return nil
}

func compact(text []byte) string {
	var b bytes.Buffer
	_ = json.Compact(&b, text) // what is no JSON equals nothing
	return b.String()
}

func (p *player) history(step scenarios.Step) error {
	page, err := p.History(step.Topic, pubsub.HistoryQuery{After: step.After, Before: step.Before, Limit: step.Limit})
	if err != nil || step.Error != nil {
		return expect(step.Error, err)
	}
	if page.From != step.From || page.Last != *step.Offset || page.More != step.More || len(page.Messages) != len(step.Receive) {
		text, _ := json.Marshal(page)
		return fmt.Errorf("got %s", text)
	}
	for i, m := range page.Messages {
		if err := step.Receive[i].Matches(m.Data, 0); err != nil {
			return err
		}
	}
	return nil
}
