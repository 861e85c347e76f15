package arpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// words is an extension of one method that answers with a word.
func words(capability, word string) arpc.Extension {
	return arpc.Extension{
		Capability: capability,
		Routes: []arpc.ExtensionRoute{{Method: "arpc." + capability, Handler: func(ctx *arpc.Context) {
			_ = ctx.Write([]string{word}) // JSON, which a string alone would not be
		}}},
	}
}

// ask calls the method of an extension.
func ask(t *testing.T, c *arpc.Client, capability string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), arpctest.Wait)
	defer cancel()
	var words []string
	err := c.CallProtocol(ctx, "arpc."+capability, nil, &words, nil)
	return strings.Join(words, " "), err
}

func TestExtensionsSayHello(t *testing.T) {
	for _, tr := range arpctest.Transports {
		t.Run(tr.Name, func(t *testing.T) {
			near, far := arpc.NewHandler(), arpc.NewHandler()
			events := make(chan string, 10)
			near.Extend(arpc.Extension{
				Capability: "x",
				Greet:      func(*arpc.Client) any { return "hi" },
				Welcomed: func(_ *arpc.Client, agreed bool, said json.RawMessage) {
					events <- fmt.Sprintf("welcomed %v %s", agreed, said)
				},
			})
			near.Extend(arpc.Extension{
				Capability: "only here",
				Welcomed: func(_ *arpc.Client, agreed bool, said json.RawMessage) {
					events <- fmt.Sprintf("alone %v %s", agreed, said)
				},
			})
			far.Extend(arpc.Extension{Capability: "only there", Welcome: func(*arpc.Client, json.RawMessage) (any, func()) {
				t.Error("asked about what was not agreed")
				return nil, nil
			}})
			far.Extend(arpc.Extension{Capability: "x", Welcome: func(c *arpc.Client, said json.RawMessage) (any, func()) {
				events <- fmt.Sprintf("welcome %v %s", c.Capable("x"), said)
				return "ho", func() { events <- fmt.Sprintf("then %v", c.Capable("x")) }
			}})
			dialed, accepted := tr.Connect(t, near, far)
			// Both ends are done when what came behind hello was answered.
			_, _ = ask(t, dialed, "none")
			got := map[string]bool{}
			for range 4 {
				got[arpctest.Receive(t, events, "event")] = true
			}
			for _, want := range []string{`welcome false "hi"`, "then true", `welcomed true "ho"`, "alone false "} {
				if !got[want] {
					t.Errorf("%q is not in %v", want, got)
				}
			}
			for _, c := range []*arpc.Client{dialed, accepted} {
				if !c.Capable("x") || c.Capable("only here") || c.Capable("only there") {
					t.Error("it agreed to something else")
				}
			}
		})
	}
}

// The methods of an extension are for those who agreed to it, from both ends, and
// none of the application's.
func TestExtensionMethods(t *testing.T) {
	for name, tt := range map[string]struct {
		near, far arpc.Extension
		hello     arpc.HelloMode
		code      arpc.Code
	}{
		"agreed":       {words("x", "near"), words("x", "far"), arpc.HelloRequire, ""},
		"not listed":   {words("y", "near"), words("x", "far"), arpc.HelloRequire, arpc.CodeNotFound},
		"not by hello": {words("x", "near"), words("x", "far"), arpc.HelloNever, arpc.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			far := arpc.NewHandler()
			far.Use(func(*arpc.Context) { t.Error("a middleware saw it") })
			far.HandleNotFound(func(*arpc.Context) { t.Error("the application was asked") })
			far.Extend(tt.far)
			if n := len(far.Routes()); n != 0 {
				t.Errorf("it is among %d routes", n)
			}
			near := arpc.NewHandler()
			near.Extend(tt.near)
			dialed, _ := arpctest.Transports[0].Connect(t, near, far, arpc.WithHello(tt.hello))
			word, err := ask(t, dialed, "x")
			if arpc.CodeOf(err) != tt.code || tt.code == "" && word != "far" {
				t.Errorf("%q, %v", word, err)
			}
		})
	}
}

// TestAnAnswerToNobody reaches no method of an extension, which would take it for a
// request.
func TestAnAnswerToNobody(t *testing.T) {
	for _, seq := range []uint64{0, 1 << 16, 7 << 16} {
		near, far := arpc.NewHandler(), arpc.NewHandler()
		near.Extend(words("x", "near"))
		var called atomic.Int64
		x := words("x", "far")
		answer := x.Routes[0].Handler
		x.Routes[0].Handler = func(ctx *arpc.Context) {
			if !ctx.IsRequest() {
				t.Errorf("%q was taken", ctx.Body())
			}
			called.Add(1)
			answer(ctx)
		}
		x.Routes[0].Mode = arpc.Ordered
		far.Extend(x)
		dialed, _ := arpctest.Transports[0].Connect(t, near, far)
		frame := wire.Append(nil, wire.Header{Cmd: wire.Response, Flags: wire.Outside, Seq: seq}, "arpc.x", []byte("{}"))
		if err := dialed.PushMsg(arpc.EncodedMessage(frame), arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		if word, err := ask(t, dialed, "x"); word != "far" || err != nil {
			t.Errorf("%q, %v", word, err)
		}
		if n := called.Load(); n != 1 {
			t.Errorf("called %d times", n)
		}
	}
}

// A later extension of a capability takes the place of the one before, and can leave
// to it what is not its own.
func TestExtensionInPlaceOfAnother(t *testing.T) {
	far := arpc.NewHandler()
	if _, ok := far.Extension("x"); ok {
		t.Error("there is one before there is one")
	}
	far.Extend(words("y", "another"))
	far.Extend(words("x", "first"))
	under, ok := far.Extension("x")
	if !ok {
		t.Fatal("it is not there")
	}
	later := words("x", "second")
	later.Routes = append(later.Routes, arpc.ExtensionRoute{Method: "arpc.under", Handler: under.Routes[0].Handler})
	far.Extend(later)
	near := arpc.NewHandler()
	near.Extend(arpc.Extension{Capability: "x"})
	near.Extend(arpc.Extension{Capability: "y"}) // in another order
	dialed, _ := arpctest.Transports[0].Connect(t, near, far)
	for capability, want := range map[string]string{"x": "second", "under": "first", "y": "another"} {
		if word, err := ask(t, dialed, capability); word != want || err != nil {
			t.Errorf("%s: %q, %v", capability, word, err)
		}
	}
}

func TestExtendRefuses(t *testing.T) {
	full := arpc.NewHandler()
	for i := range 15 {
		full.Extend(words(fmt.Sprint("x", i), ""))
	}
	full.Extend(words("x14", "again")) // in place of one that is there
	for name, extend := range map[string]func(){
		"a method of the application": func() {
			arpc.NewHandler().Extend(arpc.Extension{Capability: "x", Routes: []arpc.ExtensionRoute{{Method: "/x"}}})
		},
		"a method that is too long": func() { arpc.NewHandler().Extend(words(strings.Repeat("x", 123), "")) },
		"a sixteenth":               func() { full.Extend(words("x15", "")) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was taken")
				}
			}()
			extend()
		})
	}
}
