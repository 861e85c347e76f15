package main

import (
	"strconv"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// maxSleep bounds what /sleep takes.
const maxSleep = time.Minute

// playground registers routes to try the protocol with, open to every peer.
// What they send back fails only if the caller is gone: then nobody waits.
func playground(h *arpc.Handler) {
	h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	h.HandleStream("/echo", echoStream)
	h.Handle("/hello", hello)
	h.Handle("/address", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.RemoteAddr().String()) })
	h.Handle("/call-back", callBack)
	h.Handle("/sleep", sleep)
}

// echoStream sends back what comes, and ends when the peer does.
func echoStream(s *arpc.Stream) {
	for message, err := range s.Messages() {
		if err != nil || s.Send(message) != nil {
			return
		}
	}
}

// hello greets the name in the body.
func hello(ctx *arpc.Context) {
	var name string
	if err := ctx.Bind(&name); err != nil {
		_ = ctx.Error(err)
		return
	}
	_ = ctx.Write("hello, " + name)
}

// callBack calls the method that the body names on whoever called, and answers
// with the answer.
func callBack(ctx *arpc.Context) {
	var method string
	if err := ctx.Bind(&method); err != nil {
		_ = ctx.Error(err)
		return
	}
	var answer arpc.Raw
	if err := ctx.Client.CallWith(ctx, method, nil, &answer); err != nil {
		_ = ctx.Error(err)
		return
	}
	_ = ctx.Write(answer)
}

// sleep answers after the milliseconds in the body, or as soon as the caller
// gives up.
func sleep(ctx *arpc.Context) {
	ms, err := strconv.Atoi(string(ctx.Body()))
	duration := time.Duration(ms) * time.Millisecond
	if err != nil || duration < 0 || duration > maxSleep {
		_ = ctx.Error(arpc.Errorf(arpc.CodeInvalidArgument, "the body is a number of milliseconds, at most %d", maxSleep.Milliseconds()))
		return
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		_ = ctx.Write(ctx.Raw())
	case <-ctx.Done():
		_ = ctx.Error(arpc.Errorf(arpc.CodeCanceled, "woken up"))
	}
}
