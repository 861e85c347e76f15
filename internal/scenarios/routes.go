package scenarios

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// How long a route waits for its client.
const patience = 20 * time.Second

// mount registers the routes that need nothing but a peer, and takes bodies of
// at most 1 MiB by every door. What a route cannot send back, nobody waits for.
func mount(h *arpc.Handler) {
	limits := h.Limits()
	limits.Body = limits.WebSocketBody
	h.SetLimits(limits)
	h.SetLogger(slog.New(slog.DiscardHandler)) // of the panic that is wanted
	notebook := &notebook{pages: map[*arpc.Client]chan arpc.Raw{}}
	h.HandleDisconnected(notebook.forget)
	h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	h.Handle("/fail", fail)
	h.Handle("/panic", func(*arpc.Context) { panic("the scenarios want it") })
	h.Handle("/hang", hang)
	h.Handle("/call-back", callBack)
	h.Handle("/notify-back", notifyBack)
	h.Handle("/note", notebook.note)
	h.Handle("/notes", notebook.notes)
	mountStreams(h)
}

// fail answers with the error in the body.
func fail(ctx *arpc.Context) {
	var told struct {
		Code    arpc.Code
		Message string
		Data    json.RawMessage
	}
	if err := ctx.Bind(&told); err != nil {
		_ = ctx.Error(err)
		return
	}
	failure := arpc.Errorf(told.Code, "%s", told.Message)
	failure.Data = told.Data
	_ = ctx.Error(failure)
}

// hang says that it began, waits until the caller gives up, and says why it
// ended: to the caller, who no longer waits for an answer.
func hang(ctx *arpc.Context) {
	_ = ctx.Client.Notify("/hanging", nil, patience)
	<-ctx.Done()
	_ = ctx.Client.Notify("/gone", string(arpc.CodeOf(context.Cause(ctx))), patience)
	_ = ctx.Error(context.Cause(ctx))
}

// callBack calls the method named on whoever called, and answers with what
// comes of it.
func callBack(ctx *arpc.Context) {
	var call struct {
		Method string
		Body   Value
	}
	if err := ctx.Bind(&call); err != nil {
		_ = ctx.Error(err)
		return
	}
	body, err := call.Body.Body(0)
	if err != nil {
		_ = ctx.Error(err)
		return
	}
	var answer arpc.Raw
	if err := ctx.Client.CallWith(ctx, call.Method, body, &answer); err != nil {
		_ = ctx.Error(err)
		return
	}
	_ = ctx.Write(answer)
}

// notifyBack notifies whoever called of the numbers below times, then answers.
func notifyBack(ctx *arpc.Context) {
	var wanted struct {
		Method string
		Times  int
	}
	if err := ctx.Bind(&wanted); err != nil {
		_ = ctx.Error(err)
		return
	}
	for i := range wanted.Times {
		if err := ctx.Client.Notify(wanted.Method, i, patience); err != nil {
			_ = ctx.Error(err)
			return
		}
	}
	_ = ctx.Write(nil)
}

// A notebook keeps the bodies of notes, of each client apart.
type notebook struct {
	mu    sync.Mutex
	pages map[*arpc.Client]chan arpc.Raw // guarded by mu
}

func (n *notebook) of(c *arpc.Client) chan arpc.Raw {
	n.mu.Lock()
	defer n.mu.Unlock()
	page := n.pages[c]
	if page == nil {
		page = make(chan arpc.Raw, 1<<12)
		n.pages[c] = page
	}
	return page
}

func (n *notebook) forget(c *arpc.Client, _ error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pages, c)
}

// note keeps a notify's body for notes.
func (n *notebook) note(ctx *arpc.Context) { n.of(ctx.Client) <- ctx.Raw() }

// notes answers with the texts of the next times notes, joined by spaces.
func (n *notebook) notes(ctx *arpc.Context) {
	var times int
	if err := ctx.Bind(&times); err != nil {
		_ = ctx.Error(err)
		return
	}
	var texts []string
	for range times {
		select {
		case body := <-n.of(ctx.Client):
			texts = append(texts, string(body.Data))
		case <-ctx.Done(): // who asks knows how long: a page may be offline for a minute meanwhile
			_ = ctx.Error(arpc.Errorf(arpc.CodeCanceled, "only %d notes came", len(texts)))
			return
		}
	}
	_ = ctx.Write(strings.Join(texts, " "))
}
