package scenarios_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/scenarios"
	"github.com/seed-fbfaa03e/arpc/server"
)

// wait is how long a scenario may take.
const wait = 20 * time.Second

// The table, between two Go peers, over each door.
func TestScenarios(t *testing.T) {
	for name, prepare := range map[string]func(*arpc.Handler){
		"in plain": func(*arpc.Handler) {},
		"coded":    scenarios.UseCoders,
	} {
		for door, address := range serve(t, prepare) {
			all, err := scenarios.Load(rand.Text())
			if err != nil {
				t.Fatal(err)
			}
			for _, scenario := range all {
				t.Run(name+"/"+door+"/"+scenario.Name, func(t *testing.T) { run(t, address, scenario, prepare) })
			}
		}
	}
}

// serve starts the server; it returns the address of each door.
func serve(t *testing.T, prepare func(*arpc.Handler)) map[string]string {
	sockets := scenarios.NewSockets()
	topics := scenarios.NewServer(sockets)
	prepare(topics.Handler)
	tcp := arpctest.Listen(t)
	served := make(chan error, 1)
	go func() { served <- topics.Serve(sockets.Watch(tcp)) }()
	web := httptest.NewUnstartedServer(topics.WebSocket())
	web.Listener = sockets.Watch(web.Listener)
	web.Start()
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

func run(t *testing.T, address string, scenario scenarios.Scenario, prepare func(*arpc.Handler)) {
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	known := epochs{}
	players := map[string]*player{}
	for i, step := range scenario.Steps {
		p := players[step.Peer]
		if p == nil {
			var err error
			if p, err = newPlayer(ctx, address, scenario, known, prepare); err != nil {
				t.Fatal(err)
			}
			defer func() { p.Stop(); <-p.Done() }()
			players[step.Peer] = p
		}
		if err := p.play(ctx, step); err != nil {
			t.Fatalf("step %d, %s %s%s: %v", i+1, step.Do, step.Method, step.Topic, err)
		}
	}
}

func repeat(times int, f func(i int) error) error {
	for i := range max(times, 1) {
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// expect compares an error with the one that is wanted, if one is.
func expect(want *scenarios.Error, err error) error {
	switch {
	case want == nil:
		return err
	case err == nil:
		return fmt.Errorf("no error, want %s", want.Code)
	}
	return want.Matches(err)
}
