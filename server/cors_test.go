package server_test

import (
	"net/http"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// What browsers hear before and after they let a page call. That Chromium is content
// with it is shown where the packed client is tried.
func TestHTTPAnswersPagesOfListedOrigins(t *testing.T) {
	const app = "https://app.example"
	type words struct{ origin, credentials, methods, headers, age, expose string }
	for name, tt := range map[string]struct {
		allowed   []string
		origin    string
		preflight words
		status    int // of the preflight
		call      words
		called    int
	}{
		"listed": {
			[]string{app},
			app,
			words{app, "true", "POST", "authorization,content-type", "7200", ""},
			204,
			words{origin: app, credentials: "true", expose: "Retry-After"},
			200,
		},
		"any": {
			[]string{"*"},
			app,
			words{"*", "", "POST", "authorization,content-type", "7200", ""},
			204,
			words{origin: "*", expose: "Retry-After"},
			200,
		},
		"listed besides any": {
			[]string{"*", app},
			app,
			words{app, "true", "POST", "authorization,content-type", "7200", ""},
			204,
			words{origin: app, credentials: "true", expose: "Retry-After"},
			200,
		},
		"another is listed": {[]string{app}, "https://evil.example", words{}, 405, words{}, 403},
		"none is listed":    {nil, app, words{}, 405, words{}, 403},
		"no page":           {[]string{"*"}, "", words{}, 405, words{}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			_, url := openHTTP(t, func(h *arpc.Handler) {
				h.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Write("ran") })
			}, server.AllowOrigins(tt.allowed...))
			header := http.Header{}
			if tt.origin != "" {
				header.Set("Origin", tt.origin)
				header.Set("Sec-Fetch-Site", "cross-site")
			}
			heard := func(r *http.Request) (int, words) {
				got := do(t, r)
				h := got.header
				return got.status, words{
					h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials"), h.Get("Access-Control-Allow-Methods"),
					h.Get("Access-Control-Allow-Headers"), h.Get("Access-Control-Max-Age"), h.Get("Access-Control-Expose-Headers"),
				}
			}
			if status, got := heard(postRequest(t, url+"/m", "{}", header)); status != tt.called || got != tt.call {
				t.Errorf("the call: status %d, %+v", status, got)
			}
			header.Set("Access-Control-Request-Method", "POST")
			header.Set("Access-Control-Request-Headers", "authorization,content-type")
			asked := postRequest(t, url+"/m", "", header)
			asked.Method = http.MethodOptions
			if status, got := heard(asked); status != tt.status || got != tt.preflight {
				t.Errorf("the preflight: status %d, %+v", status, got)
			}
		})
	}
}

// A page can read why its call failed.
func TestHTTPTellsErrorsToPagesOfListedOrigins(t *testing.T) {
	_, url := openHTTP(t, func(*arpc.Handler) {}, server.AllowOrigins("https://app.example"))
	got := do(t, postRequest(t, url+"/none", "{}", http.Header{"Origin": {"https://app.example"}}))
	if got.status != http.StatusNotFound || got.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("status %d, headers %v", got.status, got.header)
	}
}
