package middleware

import (
	"context"
	"fmt"
	"sync"

	"github.com/seed-fbfaa03e/arpc"
)

// Graceful ends the work of a Handler in order: it refuses what is new and waits
// for what is under way, while the connections stay. A whole server has
// server.Server.Shutdown for that; Graceful is for a client that is called, and
// for a part of the routes. The zero value is ready, and safe for concurrent use.
type Graceful struct {
	mu      sync.Mutex
	refuses bool
	running int           // requests without an answer, and notifies in handlers
	idle    chan struct{} // closed when refuses is set and nothing runs
}

// Handle is the middleware: h.Use(g.Handle). Refused requests are answered with
// unavailable; refused notifies are dropped.
func (g *Graceful) Handle(ctx *arpc.Context) {
	if !g.begin() {
		ctx.Abort()
		if ctx.IsRequest() {
			_ = ctx.Error(arpc.Errorf(arpc.CodeUnavailable, "shutting down")) // a lost connection is told to the hooks
		}
		return
	}
	if ctx.IsRequest() {
		ctx.OnAnswered(func(error) { g.end() })
		return
	}
	defer g.end()
	ctx.Next()
}

// Shutdown refuses messages from now on, and returns when none that came before
// is under way, or when ctx ends, with its cause.
func (g *Graceful) Shutdown(ctx context.Context) error {
	select {
	case <-g.refuse():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %d messages: %w", g.left(), context.Cause(ctx))
	}
}

func (g *Graceful) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.refuses {
		g.running++
	}
	return !g.refuses
}

func (g *Graceful) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.idleLocked()
}

func (g *Graceful) refuse() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.refuses {
		g.refuses, g.idle = true, make(chan struct{})
		g.idleLocked()
	}
	return g.idle
}

func (g *Graceful) idleLocked() {
	if g.refuses && g.running == 0 {
		close(g.idle) // running never rises again
	}
}

func (g *Graceful) left() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}
