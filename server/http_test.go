package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

// openHTTP serves the HTTP door of a server.
func openHTTP(t testing.TB, setup func(h *arpc.Handler), opts ...server.Option) (s *server.Server, url string) {
	t.Helper()
	s = server.New(opts...)
	s.Handler.SetLogger(slog.New(slog.DiscardHandler))
	setup(s.Handler)
	web := httptest.NewServer(s.HTTP())
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return s, web.URL
}

// reply is an answer over HTTP.
type reply struct {
	status int
	body   string
	header http.Header
}

func (r reply) code(t testing.TB) arpc.Code {
	t.Helper()
	var told struct {
		Code    arpc.Code
		Message string
	}
	if err := json.Unmarshal([]byte(r.body), &told); err != nil || told.Message == "" {
		t.Fatalf("status %d, body %q is no error: %v", r.status, r.body, err)
	}
	return told.Code
}

func postRequest(t testing.TB, url, body string, header http.Header) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	maps.Copy(r.Header, header)
	return r
}

func do(t testing.TB, r *http.Request) reply {
	t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, string(body), answer.Header}
}

func post(t testing.TB, url, body string) reply {
	t.Helper()
	return do(t, postRequest(t, url, body, nil))
}

func TestHTTPBodiesAreJSONBothWays(t *testing.T) {
	type order struct{ Count int }
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/raw", func(ctx *arpc.Context) { _ = ctx.Write(fmt.Sprintf("%d:%s", ctx.Kind(), ctx.Body())) })
		arpc.Route(h, "/order", func(_ *arpc.Context, o order) (order, error) { return order{2 * o.Count}, nil })
		h.Handle("Chat.Say", func(ctx *arpc.Context) { _ = ctx.Write([]byte("said")) })
		h.Handle("/nil", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
		h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
		h.Handle("/untold", func(ctx *arpc.Context) { _ = ctx.Write(arpc.Raw{Data: []byte("no JSON")}) })
	})
	for name, tt := range map[string]struct{ path, body, want string }{
		"a string is text":   {"/raw", `"Ada \u00e9"`, `"1:Ada é"`},
		"a value is a value": {"/raw", ` [1, 2]`, `"3:[1, 2]"`},
		"nothing":            {"/raw", ``, `"0:"`},
		"null is a value":    {"/raw", `null`, `"3:null"`},
		"types":              {"/order", `{"Count":7}`, `{"Count":14}`},
		"bytes, no slash":    {"/Chat.Say", ``, `"c2FpZA=="`},
		"no answer":          {"/nil", ``, `null`},
		"echo of a string":   {"/echo", `"a\nb"`, `"a\nb"`},
		"a Raw of no kind":   {"/untold", ``, `"no JSON"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := post(t, url+tt.path, tt.body)
			if got.status != http.StatusOK || got.body != tt.want {
				t.Errorf("status %d, %s, want %s", got.status, got.body, tt.want)
			}
			if h := got.header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", h)
			}
		})
	}
}

// fastJSON is JSON by another implementation.
type fastJSON struct{ codec.Codec }

// loud is a codec that is not JSON.
type loud struct{ codec.Codec }

func (loud) Name() string { return "loud" }

func TestHTTPRefusesRoutesWithACodecThatIsNotJSON(t *testing.T) {
	_, url := openHTTP(t, func(h *arpc.Handler) {
		echo := func(ctx *arpc.Context) { _ = ctx.Write(map[string]string{"got": string(ctx.Body())}) }
		h.Handle("/loud", echo, arpc.WithCodec(loud{codec.JSON}))
		h.Handle("/fast", echo, arpc.WithCodec(fastJSON{codec.JSON}))
		h.SetCodec(loud{codec.JSON}) // of connections, which requests are none of
		h.Handle("/plain", echo)
	})
	for _, body := range []string{"{}", `"text"`, ""} {
		got := post(t, url+"/loud", body)
		if got.status != http.StatusUnsupportedMediaType || got.code(t) != arpc.CodeInvalidArgument || !strings.Contains(got.body, "loud, not JSON") {
			t.Errorf("status %d, %s", got.status, got.body)
		}
	}
	for _, path := range []string{"/fast", "/plain"} {
		if got := post(t, url+path, "{}"); got.status != http.StatusOK || got.body != `{"got":"{}"}` {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
}

// Every code has a status, in the code and in the document.
func TestHTTPStatusesAreThoseOfTheDocument(t *testing.T) {
	var codes []arpc.Code
	list, err := os.ReadFile("../wire/testdata/codes.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(list, &codes); err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\d+) \\|$").FindAllStringSubmatch(string(document), -1) {
		documented[row[1]] = row[2]
	}
	if len(documented) != len(codes) {
		t.Errorf("%d codes in the document, %d there are", len(documented), len(codes))
	}
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/fail", func(ctx *arpc.Context) {
			_ = ctx.Error(&arpc.Error{Code: arpc.Code(ctx.Body()), Message: "as asked", Data: []byte(`{"retryAfter":1500}`)})
		})
	})
	for _, code := range append(codes, "of_a_later_version") {
		got := post(t, url+"/fail", strconv.Quote(string(code)))
		if want, ok := documented[string(code)]; ok && strconv.Itoa(got.status) != want {
			t.Errorf("%s: status %d, documented %s", code, got.status, want)
		} else if !ok && got.status != http.StatusInternalServerError {
			t.Errorf("%s: status %d", code, got.status)
		}
		if got.code(t) != code || got.header.Get("Retry-After") != "2" || !strings.Contains(got.body, `"data":{"retryAfter":1500}`) {
			t.Errorf("%s: %s, %v", code, got.body, got.header)
		}
	}
}

func TestHTTPRefusesWhatIsNoCall(t *testing.T) {
	never := func(ctx *arpc.Context) { _ = ctx.Write("ran") }
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/m", never)
		h.Handle("in_P", never)
		limits := arpc.DefaultLimits()
		limits.WebSocketBody = 100
		h.SetLimits(limits)
	})
	with := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	for name, tt := range map[string]struct {
		path, body string
		change     func(*http.Request)
		status     int
		code       arpc.Code
	}{
		"GET":                    {"/m", "", func(r *http.Request) { r.Method = http.MethodGet }, 405, arpc.CodeUnimplemented},
		"a form":                 {"/m", "a=b", with("Content-Type", "application/x-www-form-urlencoded"), 415, arpc.CodeInvalidArgument},
		"text, as forms send it": {"/m", "{}", with("Content-Type", "text/plain"), 415, arpc.CodeInvalidArgument},
		"no content type":        {"/m", "{}", func(r *http.Request) { r.Header.Del("Content-Type") }, 415, arpc.CodeInvalidArgument},
		"another origin":         {"/m", "{}", with("Origin", "https://evil.example"), 403, arpc.CodePermissionDenied},
		"another site":           {"/m", "{}", with("Sec-Fetch-Site", "cross-site"), 403, arpc.CodePermissionDenied},
		"a rebound name":         {"/m", "{}", func(r *http.Request) { r.Host = "evil.example"; r.Header.Set("Origin", "http://evil.example") }, 403, arpc.CodePermissionDenied},
		"no route":               {"/none", "{}", nil, 404, arpc.CodeNotFound},
		"no method":              {"/", "{}", nil, 404, arpc.CodeNotFound},
		"too long a method":      {"/" + strings.Repeat("m", 127), "{}", nil, 404, arpc.CodeNotFound},
		"the protocol":           {"/arpc.hello", "{}", nil, 404, arpc.CodeNotFound},
		"topics":                 {"/in_P", "{}", nil, 404, arpc.CodeNotFound},
		"no JSON":                {"/m", "{", nil, 400, arpc.CodeInvalidArgument},
		"two values":             {"/m", "{}{}", nil, 400, arpc.CodeInvalidArgument},
		"body over the limit":    {"/m", `"` + strings.Repeat("b", 99) + `"`, nil, 413, arpc.CodeResourceExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			r := postRequest(t, url+tt.path, tt.body, nil)
			if tt.change != nil {
				tt.change(r)
			}
			if got := do(t, r); got.status != tt.status || got.code(t) != tt.code {
				t.Errorf("status %d, %s", got.status, got.body)
			}
		})
	}
	if got := post(t, url+"/m", `"`+strings.Repeat("b", 98)+`"`); got.status != http.StatusOK {
		t.Errorf("body at the limit: %d", got.status)
	}
}

func TestHTTPAsksWhoIsThereBeforeItReads(t *testing.T) {
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/who", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.Identity().ID) })
		h.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
			switch {
			case cr.Request.Header.Get("Cookie") == "session=ann":
				return &arpc.Identity{ID: "ann"}, nil
			case cr.Source == arpc.FromUpgrade:
				return nil, nil
			case cr.Token == "bob's":
				return &arpc.Identity{ID: "bob"}, nil
			}
			return nil, errors.New("not for the peer")
		})
	})
	for name, tt := range map[string]struct {
		header http.Header
		status int
		body   string
	}{
		"cookie":     {http.Header{"Cookie": {"session=ann"}}, 200, `"ann"`},
		"token":      {http.Header{"Authorization": {"bearer bob's"}}, 200, `"bob"`},
		"wrong":      {http.Header{"Authorization": {"Bearer ann's"}}, 401, `{"code":"unauthenticated","message":"not authenticated"}`},
		"basic":      {http.Header{"Authorization": {"Basic bob's"}}, 401, `{"code":"unauthenticated","message":"not authenticated"}`},
		"nobody":     {nil, 401, `{"code":"unauthenticated","message":"not authenticated"}`},
		"long token": {http.Header{"Authorization": {"Bearer " + strings.Repeat("x", 20<<10)}}, 401, `{"code":"unauthenticated","message":"not authenticated"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := do(t, postRequest(t, url+"/who", "", tt.header)); got.status != tt.status || got.body != tt.body {
				t.Errorf("status %d, %s", got.status, got.body)
			}
		})
	}
	t.Run("the body of a stranger", func(t *testing.T) {
		body, never := io.Pipe()
		defer never.Close()
		r := postRequest(t, url+"/who", "", nil)
		r.Body, r.ContentLength = body, -1
		if got := do(t, r); got.status != http.StatusUnauthorized {
			t.Errorf("status %d", got.status)
		}
	})
}

func TestHTTPClientTakesOnlyAnswers(t *testing.T) {
	hooks := make(chan string, 8)
	s, url := openHTTP(t, func(h *arpc.Handler) {
		h.HandleConnected(func(*arpc.Client) { hooks <- "connected" })
		h.HandleDisconnected(func(*arpc.Client, error) { hooks <- "disconnected" })
		h.HandleStateChange(func(_ *arpc.Client, s arpc.State, _ error) { hooks <- string(s) })
		h.Handle("/try", func(ctx *arpc.Context) {
			c := ctx.Client
			c.Set("key", "kept")
			kept, _ := c.Get("key")
			_ = ctx.Write(map[string]any{
				"kept":   kept,
				"path":   c.Request().URL.Path,
				"call":   errors.Is(c.Call("/m", nil, nil, time.Minute), arpc.ErrDetached),
				"notify": errors.Is(c.Notify("/m", nil, time.Minute), arpc.ErrDetached),
				"stream": errors.Is(c.NewStream("/m").Send("x"), arpc.ErrDetached),
			})
		})
	})
	s.Handler.Handle("/clients", func(ctx *arpc.Context) { _ = ctx.Write(len(s.Clients())) })
	want := `{"call":true,"kept":"kept","notify":true,"path":"/try","stream":true}`
	if got := post(t, url+"/try", ""); got.body != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if got := post(t, url+"/clients", ""); got.body != "0" {
		t.Errorf("%s clients", got.body)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if len(hooks) != 0 {
		t.Errorf("a hook ran: %s", <-hooks)
	}
}

func TestHTTPTimeout(t *testing.T) {
	var ended atomic.Int64
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/slow", func(ctx *arpc.Context) {
			<-ctx.Done()
			if ctx.Err() == nil {
				t.Error("it ended without an error")
			}
			ended.Add(1)
		})
	}, server.HTTPTimeout(20*time.Millisecond))
	arpctest.Eventually(t, "end of the handler", func() bool { // which one that was late does not reach
		if got := post(t, url+"/slow", ""); got.status != http.StatusGatewayTimeout || got.code(t) != arpc.CodeDeadlineExceeded {
			t.Errorf("status %d, %s", got.status, got.body)
		}
		return ended.Load() > 0
	})
}

func TestHTTPBodyHasToCome(t *testing.T) {
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.SetLimits(arpc.Limits{Message: 200 * time.Millisecond})
		h.Handle("/m", func(ctx *arpc.Context) {
			select {
			case <-ctx.Done():
				_ = ctx.Error("the limit of the body ended the request")
			case <-time.After(2 * ctx.Client.Handler.Limits().Message):
				_ = ctx.Write("ran")
			}
		})
	})
	body, never := io.Pipe()
	defer never.Close()
	r := postRequest(t, url+"/m", "", nil)
	r.Body, r.ContentLength = body, -1
	if got := do(t, r); got.status != http.StatusRequestTimeout || got.code(t) != arpc.CodeDeadlineExceeded {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if got := post(t, url+"/m", "1"); got.body != `"ran"` {
		t.Errorf("status %d, %s", got.status, got.body)
	}
}

func TestHTTPAskerGoesAway(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/slow", func(ctx *arpc.Context) { close(began); <-ctx.Done(); close(ended) })
	})
	ctx, leave := context.WithCancel(context.Background())
	r := postRequest(t, url+"/slow", "", nil).WithContext(ctx)
	gone := make(chan error, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			answer.Body.Close()
		}
		gone <- err
	}()
	arpctest.Closed(t, began, "beginning of the handler")
	leave()
	arpctest.Closed(t, ended, "end of the handler")
	if err := arpctest.Receive(t, gone, "end of the request"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestHTTPIsBounded(t *testing.T) {
	for name, opts := range map[string][]server.Option{"in flight": nil, "as a connection": {server.MaxLoad(1)}} {
		t.Run(name, func(t *testing.T) {
			began, finish := make(chan struct{}, 1), make(chan struct{})
			_, url := openHTTP(t, func(h *arpc.Handler) {
				limits := arpc.DefaultLimits()
				if opts == nil {
					limits.Inflight = 1
				}
				h.SetLimits(limits)
				h.Handle("/slow", func(ctx *arpc.Context) { began <- struct{}{}; <-finish; _ = ctx.Write("done") })
				h.Handle("/quick", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
			}, opts...)
			slow := make(chan reply, 1)
			go func() { slow <- post(t, url+"/slow", "") }()
			arpctest.Receive(t, began, "beginning of the handler")
			if got := post(t, url+"/quick", ""); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
				t.Errorf("one too many: status %d, %v", got.status, got.header)
			}
			close(finish)
			if got := arpctest.Receive(t, slow, "answer"); got.body != `"done"` {
				t.Errorf("status %d, %s", got.status, got.body)
			}
			arpctest.Eventually(t, "room again", func() bool { return post(t, url+"/quick", "").status == http.StatusOK })
		})
	}
}

func TestHTTPShutdownWaitsForTheAnswer(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	s, url := openHTTP(t, func(h *arpc.Handler) {
		h.Handle("/slow", func(ctx *arpc.Context) { close(began); <-finish; _ = ctx.Write("done") })
	})
	slow := make(chan reply, 1)
	go func() { slow <- post(t, url+"/slow", "") }()
	arpctest.Closed(t, began, "beginning of the handler")
	over := make(chan error, 1)
	go func() { over <- s.Shutdown(context.Background()) }()
	arpctest.Eventually(t, "the door closes", func() bool {
		return post(t, url+"/slow", "").status == http.StatusServiceUnavailable
	})
	if len(over) != 0 {
		t.Error("it did not wait")
	}
	close(finish)
	if got := arpctest.Receive(t, slow, "answer"); got.body != `"done"` {
		t.Errorf("status %d, %s", got.status, got.body)
	}
	if err := arpctest.Receive(t, over, "end of the shutdown"); err != nil {
		t.Error(err)
	}
}

func TestForwardedAddressIsBelievedOfTrustedProxiesOnly(t *testing.T) {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	for name, tt := range map[string]struct {
		trusted   []netip.Prefix
		forwarded []string
		want      string // "" is the socket's
	}{
		"nobody is trusted":     {nil, []string{"203.0.113.7"}, ""},
		"another is trusted":    {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, []string{"203.0.113.7"}, ""},
		"one proxy":             {[]netip.Prefix{loopback}, []string{"203.0.113.7"}, "203.0.113.7:0"},
		"what a client claims":  {[]netip.Prefix{loopback}, []string{"192.0.2.1, 203.0.113.7"}, "203.0.113.7:0"},
		"two lines":             {[]netip.Prefix{loopback}, []string{"192.0.2.1", "203.0.113.7"}, "203.0.113.7:0"},
		"a chain of ours":       {[]netip.Prefix{loopback, netip.MustParsePrefix("10.0.0.0/8")}, []string{"203.0.113.7, 10.1.2.3"}, "203.0.113.7:0"},
		"all are ours":          {[]netip.Prefix{loopback}, []string{"127.0.0.9, 127.0.0.8"}, "127.0.0.9:0"},
		"a proxy that says not": {[]netip.Prefix{loopback}, nil, ""},
		"garbage":               {[]netip.Prefix{loopback}, []string{"203.0.113.7, unknown"}, ""},
		"IPv6":                  {[]netip.Prefix{loopback}, []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"IPv4 in IPv6":          {[]netip.Prefix{loopback}, []string{"::ffff:203.0.113.7"}, "203.0.113.7:0"},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := openHTTP(t, func(h *arpc.Handler) {
				h.Handle("/from", func(ctx *arpc.Context) {
					_ = ctx.Write(ctx.Client.RemoteAddr().String() + " " + ctx.Client.Request().RemoteAddr)
				})
			}, server.TrustedProxies(tt.trusted...))
			web := httptest.NewServer(s.WebSocket())
			defer web.Close()
			header := http.Header{"X-Forwarded-For": tt.forwarded}

			c, err := arpc.Dial(context.Background(), strings.Replace(web.URL, "http", "ws", 1), arpc.WithHeader(header))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { c.Stop(); <-c.Done() }()
			var overWebSocket, overHTTP string
			if err := c.Call("/from", nil, &overWebSocket, arpctest.Wait); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(do(t, postRequest(t, url+"/from", "", header)).body), &overHTTP); err != nil {
				t.Fatal(err)
			}
			for _, got := range []string{overWebSocket, overHTTP} {
				address, inRequest, _ := strings.Cut(got, " ")
				if address != inRequest || tt.want != "" && address != tt.want || tt.want == "" && !strings.HasPrefix(address, "127.0.0.1:") {
					t.Errorf("from %s, want %s", got, tt.want)
				}
			}
		})
	}
}
