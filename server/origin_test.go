package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// handshake asks for an upgrade and returns the answer. The host goes into the
// Host header; empty leaves it as it is.
func handshake(t testing.TB, h *house, header http.Header, host string) *http.Response {
	t.Helper()
	return handshakeAt(t, "http"+strings.TrimPrefix(h.web, "ws"), header, host)
}

func handshakeAt(t testing.TB, url string, header http.Header, host string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	r.Host = host
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// facing serves the WebSocket door as if it listened on an address.
func facing(t testing.TB, s *server.Server, local net.Addr) (url string) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.WebSocket().ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
	}))
	t.Cleanup(func() {
		web.Close()
		_ = s.Shutdown(context.Background())
	})
	return web.URL
}

var (
	public   = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	loopbac6 = &net.TCPAddr{IP: net.IPv6loopback, Port: 80}
	local    = &net.UnixAddr{Name: "/run/arpc", Net: "unix"}
)

func TestOrigins(t *testing.T) {
	type attempt struct {
		host, origin string
		in           bool
	}
	for name, c := range map[string]struct {
		opts     []server.Option
		at       net.Addr
		attempts []attempt
	}{
		"by default the page's own host": {nil, public, []attempt{
			{"example.org", "", true}, // no browser
			{"example.org", "https://example.org", true},
			{"example.org", "http://example.org", true},
			{"example.org:8080", "http://example.org:8080", true},
			{"example.org", "HTTPS://EXAMPLE.ORG", true},
			{"example.org", "null", false},
			{"example.org", "https://evil.example", false},
			{"example.org", "https://example.org.evil.example", false},
			{"example.org", "https://evil-example.org", false},
			{"example.org", "https://sub.example.org", false},
			{"sub.example.org", "https://example.org", false},
			{"example.org:8080", "http://example.org:8081", false},
			{"example.org", "http://example.org:8080", false},
			{"example.org:8080", "http://example.org", false},
			{"example.org", "https://example.org@evil.example", false},
			{"example.org", "https://evil.example/example.org", false},
			{"example.org", "https://evil.example#example.org", false},
			{"example.org", "https://evil.example\\example.org", false},
			{"example.org", "https://example.org.", false},
			{"example.org", "example.org", false},
			{"example.org", "file://", false},
			{"example.org", "chrome-extension://abcdef", false},
			{"example.org", "https://", false},
			{"example.org", "https://example.org, https://evil.example", false},
		}},
		"an allow-list adds exactly its entries": {[]server.Option{
			server.AllowOrigins("https://app.example", "http://dev.example:3000"), server.AllowOrigins("https://other.example"),
		}, public, []attempt{
			{"api.example", "", true},
			{"api.example", "https://api.example", true}, // its own pages still
			{"api.example", "https://app.example", true},
			{"api.example", "http://dev.example:3000", true},
			{"api.example", "https://other.example", true},
			{"api.example", "http://app.example", false},
			{"api.example", "https://app.example:8443", false},
			{"api.example", "https://app.example.evil.example", false},
			{"api.example", "https://evil-app.example", false},
			{"api.example", "https://sub.app.example", false},
			{"api.example", "https://app.exampl", false},
			{"api.example", "http://dev.example", false},
			{"api.example", "http://dev.example:30000", false},
			{"api.example", "null", false},
			{"api.example", "*", false},
		}},
		"a star opens it": {[]server.Option{server.AllowOrigins("*")}, loopback, []attempt{
			{"api.example", "https://evil.example", true},
			{"api.example", "null", true},
			{"api.example", "", true},
		}},
		"an empty allow-list changes nothing": {[]server.Option{server.AllowOrigins()}, public, []attempt{
			{"api.example", "https://api.example", true},
			{"api.example", "https://evil.example", false},
		}},
		// A page whose name was made to point at this machine is same-origin by name.
		"DNS rebinding": {nil, loopback, []attempt{
			{"evil.example", "http://evil.example", false},
			{"evil.example:8080", "http://evil.example:8080", false},
			{"192.0.2.7:8080", "http://192.0.2.7:8080", false},
			{"localhost.evil.example:8080", "http://localhost.evil.example:8080", false},
			{"evillocalhost:8080", "http://evillocalhost:8080", false},
			{"127.0.0.1.evil.example", "http://127.0.0.1.evil.example", false},
			{"localhost:8080", "http://localhost:8080", true},
			{"localhost", "http://localhost", true},
			{"app.localhost:8080", "http://app.localhost:8080", true},
			{"127.0.0.1:8080", "http://127.0.0.1:8080", true},
			{"127.9.9.9", "http://127.9.9.9", true},
			{"[::1]:8080", "http://[::1]:8080", true},
			{"[::1]", "http://[::1]", true},
			{"[2001:db8::1]", "http://[2001:db8::1]", false},
			{"evil.example", "", true}, // no page, no rebinding
		}},
		"DNS rebinding over IPv6": {nil, loopbac6, []attempt{
			{"evil.example", "http://evil.example", false},
			{"localhost:8080", "http://localhost:8080", true},
		}},
		"a page that is allowed by name is no rebinding": {[]server.Option{server.AllowOrigins("https://app.example")}, loopback, []attempt{
			{"app.example", "https://app.example", true},
			{"app.example", "http://app.example", false},
		}},
		"behind a socket of a proxy": {nil, local, []attempt{
			{"example.org", "https://example.org", true},
			{"example.org", "https://evil.example", false},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := server.New(c.opts...)
			s.Handler.SetLogger(quiet)
			url := facing(t, s, c.at)
			for _, a := range c.attempts {
				header := http.Header{}
				if a.origin != "" {
					header.Set("Origin", a.origin)
				}
				want := http.StatusForbidden
				if a.in {
					want = http.StatusSwitchingProtocols
				}
				if got := handshakeAt(t, url, header, a.host).StatusCode; got != want {
					t.Errorf("host %q, origin %q: status %d, want %d", a.host, a.origin, got, want)
				}
			}
		})
	}
}

// Who is refused for a page that should be let in is told which setting does so,
// in the log and with curl.
func TestARefusedOriginNamesTheSetting(t *testing.T) {
	for name, c := range map[string]struct {
		at           net.Addr
		host, origin string
		settings     []string
	}{
		"another origin":                {public, "example.org", "https://app.example.org", []string{"server.AllowOrigins"}},
		"another origin, on loopback":   {loopback, "localhost", "http://localhost:5173", []string{"server.AllowOrigins"}},
		"a proxy that nobody mentioned": {loopback, "example.org", "https://example.org", []string{"server.TrustedProxies", "server.AllowOrigins"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := server.New()
			var log bytes.Buffer // written before the answer is
			s.Handler.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, facing(t, s, c.at), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			r.Header.Set("Origin", c.origin)
			answer := do(t, r)
			if answer.status != http.StatusForbidden {
				t.Fatalf("status %d", answer.status)
			}
			for _, setting := range c.settings {
				if !strings.Contains(answer.body, setting) || !strings.Contains(log.String(), setting) {
					t.Errorf("%s is not in the body %q, or not in the log %q", setting, answer.body, log.String())
				}
			}
			if !strings.Contains(log.String(), c.origin) {
				t.Errorf("%s is not in the log %q", c.origin, log.String())
			}
		})
	}
}

// TestARealListenerOnLoopbackKnowsRebinding, where nobody sets its address.
func TestARealListenerOnLoopbackKnowsRebinding(t *testing.T) {
	h := open(t, nil)
	origin := func(o string) http.Header { return http.Header{"Origin": {o}} }
	if got := handshake(t, h, origin("http://evil.example"), "evil.example").StatusCode; got != http.StatusForbidden {
		t.Errorf("rebound: status %d", got)
	}
	if got := handshake(t, h, origin("http"+strings.TrimPrefix(h.web, "ws")), "").StatusCode; got != http.StatusSwitchingProtocols {
		t.Errorf("its own page: status %d", got)
	}
}

// A proxy on the same machine passes the name that the browser asked for. It is
// believed when the proxy is, and has said for whom it speaks.
func TestATrustedProxyMayPassItsNameToLoopback(t *testing.T) {
	trusted := []server.Option{server.TrustedProxies(netip.MustParsePrefix("127.0.0.1/32"))}
	for name, tt := range map[string]struct {
		opts              []server.Option
		origin, forwarded string
		in                bool
	}{
		"trusted":              {trusted, "https://app.example", "203.0.113.7", true},
		"a page of elsewhere":  {trusted, "https://evil.example", "203.0.113.7", false},
		"says not for whom":    {trusted, "https://app.example", "", false},
		"not trusted":          {nil, "https://app.example", "203.0.113.7", false},
		"it comes from no one": {nil, "https://app.example", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, url := openHTTP(t, func(h *arpc.Handler) {
				h.SetLogger(quiet)
				h.Handle("/m", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
			}, tt.opts...)
			header := http.Header{"Origin": {tt.origin}}
			if tt.forwarded != "" {
				header.Set("X-Forwarded-For", tt.forwarded)
			}
			upgraded, called := http.StatusForbidden, http.StatusForbidden
			if tt.in {
				upgraded, called = http.StatusSwitchingProtocols, http.StatusOK
			}
			if got := handshakeAt(t, facing(t, s, loopback), header, "app.example").StatusCode; got != upgraded {
				t.Errorf("WebSocket: status %d, want %d", got, upgraded)
			}
			r := postRequest(t, url+"/m", "{}", header)
			r.Host = "app.example"
			if got := do(t, r).status; got != called {
				t.Errorf("HTTP: status %d, want %d", got, called)
			}
		})
	}
}
