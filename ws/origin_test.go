package ws_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/ws"
)

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		host, origin string
		same         bool
	}{
		{"example.org", "", true}, // not a browser's
		{"example.org", "https://example.org", true},
		{"example.org", "http://example.org", true}, // behind a proxy that ends TLS
		{"example.org", "https://EXAMPLE.org", true},
		{"Example.ORG", "https://example.org", true},
		{"example.org:8080", "http://example.org:8080", true},
		{"127.0.0.1:8080", "http://127.0.0.1:8080", true},
		{"[::1]:8080", "http://[::1]:8080", true},

		{"example.org", "null", false},
		{"example.org", "https://", false},
		{"example.org", "example.org", false},
		{"example.org", "//", false},
		{"example.org", "file://", false},
		{"example.org", "https://evil.example", false},
		{"example.org", "https://example.org.evil.example", false}, // prefix
		{"example.org", "https://evil-example.org", false},         // suffix
		{"example.org", "https://sub.example.org", false},
		{"sub.example.org", "https://example.org", false},
		{"example.org", "https://example.org:8443", false},
		{"example.org:8443", "https://example.org", false},
		{"example.org:8080", "http://example.org:8081", false},
		{"example.org:80", "http://example.org:8080", false},
		{"example.org", "https://example.org@evil.example", false},
		{"example.org", "https://example.org%00.evil.example", false},
		{"example.org", "https://evil.example/example.org", false},
		{"example.org", "https://evil.example?example.org", false},
		{"example.org", "https://evil.example#example.org", false},
		{"example.org", "https://example.org.", false},
		{"example.org", "https://exаmple.org", false}, // a Cyrillic letter
		{"127.0.0.1:8080", "http://localhost:8080", false},
		{"example.org", ":", false},
		{"", "https://example.org", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if got := ws.SameOrigin(r); got != c.same {
			t.Errorf("host %q, origin %q: %v", c.host, c.origin, got)
		}
	}
}

func TestHandshakesAreRefusedWithAStatus(t *testing.T) {
	url, _ := listen(t, ws.UpgradeOptions{})
	for name, c := range map[string]struct {
		method string
		header http.Header
		status int
	}{
		"no upgrade":     {"GET", http.Header{}, http.StatusBadRequest},
		"foreign origin": {"GET", upgradeHeader("Origin", "https://evil.example"), http.StatusForbidden},
		"post":           {"POST", upgradeHeader("", ""), http.StatusMethodNotAllowed},
		"old version":    {"GET", upgradeHeader("Sec-WebSocket-Version", "8"), http.StatusBadRequest},
		"no key":         {"GET", upgradeHeader("Sec-WebSocket-Key", ""), http.StatusBadRequest},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http"+strings.TrimPrefix(url, "ws"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = c.header
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", name, answer.StatusCode, c.status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// upgradeHeader is that of a good handshake, but for one field.
func upgradeHeader(name, value string) http.Header {
	h := http.Header{}
	h.Set("Connection", "Upgrade")
	h.Set("Upgrade", "websocket")
	h.Set("Sec-WebSocket-Version", "13")
	h.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if name != "" {
		h.Set(name, value)
	}
	return h
}

func TestDialSaysWhyItFailed(t *testing.T) {
	url, _ := listen(t, ws.UpgradeOptions{CheckOrigin: func(*http.Request) bool { return false }})
	if _, err := ws.Dial(t.Context(), url, ws.DialOptions{}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("refused: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ws.Dial(ended, url, ws.DialOptions{}); err == nil {
		t.Error("a context that has ended was no obstacle")
	}
	if _, err := ws.Dial(t.Context(), "http://localhost", ws.DialOptions{}); err == nil {
		t.Error("http was accepted")
	}
}

func TestBothEndsAgreeOnASubprotocol(t *testing.T) {
	for _, c := range []struct{ offered, spoken, want string }{
		{"a,b", "b,a", "b"}, {"a", "b", ""}, {"", "b", ""}, {"a", "", ""},
	} {
		list := func(s string) []string {
			return slices.DeleteFunc(strings.Split(s, ","), func(s string) bool { return s == "" })
		}
		url, accepted := listen(t, ws.UpgradeOptions{Subprotocols: list(c.spoken)})
		near := dial(t, url, ws.DialOptions{Subprotocols: list(c.offered)})
		if far := <-accepted; near.Subprotocol() != c.want || far.Subprotocol() != c.want {
			t.Errorf("%+v: %q here, %q there", c, near.Subprotocol(), far.Subprotocol())
		}
	}
}

func TestDialOverTLS(t *testing.T) {
	accepted := make(chan *ws.Conn, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("header %v", r.Header)
		}
		conn, err := ws.Upgrade(w, r, ws.UpgradeOptions{})
		if err != nil {
			t.Errorf("refused: %v", err)
			return
		}
		accepted <- own(t, conn)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // refused handshakes are the point
	s.StartTLS()
	t.Cleanup(s.Close)
	url := "wss" + strings.TrimPrefix(s.URL, "https")
	trusted := s.Client().Transport.(*http.Transport).TLSClientConfig
	near := dial(t, url, ws.DialOptions{TLS: trusted, Header: http.Header{"Authorization": {"Bearer token"}}})
	if _, err := near.Write([]byte("in private")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("in private"))
	if _, err := io.ReadFull(<-accepted, got); err != nil || string(got) != "in private" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, config := range map[string]*tls.Config{"unknown authority": nil, "another name": {RootCAs: trusted.RootCAs, ServerName: "evil.test"}} {
		if _, err := ws.Dial(t.Context(), url, ws.DialOptions{TLS: config}); err == nil {
			t.Errorf("%s was trusted", name)
		}
	}
}
