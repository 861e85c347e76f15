package ws_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc/ws"
)

// tunnels is an HTTP proxy that lets one user through, and knows whereto.
type tunnels struct {
	mu    sync.Mutex
	asked []string
	open  sync.WaitGroup
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != "Basic YW5uOnNlY3JldA==" { // ann:secret
		http.Error(w, "who?", http.StatusProxyAuthRequired)
		return
	}
	far, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	near, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	if _, err := rw.WriteString("HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	p.mu.Lock() // so that done sees both
	defer p.mu.Unlock()
	if err := rw.Flush(); err != nil {
		return
	}
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		p.open.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
		})
	}
}

// done waits for the tunnels to end, and returns what was asked for.
func (p *tunnels) done() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open.Wait()
	return p.asked
}

func TestDialThroughAProxy(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := ws.Upgrade(w, r, ws.UpgradeOptions{})
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 100)
			n, err := conn.Read(buf)
			if err == nil {
				_, _ = conn.Write(buf[:n])
			}
		}()
	})
	plain, secure := httptest.NewServer(echo), httptest.NewTLSServer(echo)
	defer plain.Close()
	defer secure.Close()
	p := &tunnels{}
	proxy := httptest.NewServer(p)
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("ann", "secret")
	for _, address := range []string{"ws" + strings.TrimPrefix(plain.URL, "http"), "wss" + strings.TrimPrefix(secure.URL, "https")} {
		conn, err := ws.Dial(context.Background(), address, ws.DialOptions{
			Proxy: http.ProxyURL(at),
			TLS:   secure.Client().Transport.(*http.Transport).TLSClientConfig,
		})
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		got := make([]byte, 2)
		if _, err := conn.Write([]byte("hi")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hi" {
			t.Errorf("%s: %q, %v", address, got, err)
		}
		conn.Close()
	}
	if asked := p.done(); len(asked) != 2 || asked[0] != "CONNECT "+plain.Listener.Addr().String() {
		t.Errorf("the proxy was asked for %v", asked)
	}
	at.User = nil
	if _, err := ws.Dial(context.Background(), "ws://example.invalid/", ws.DialOptions{Proxy: http.ProxyURL(at)}); err == nil || !strings.Contains(err.Error(), "407") {
		t.Errorf("a proxy that refuses: %v", err)
	}
	for name, o := range map[string]ws.DialOptions{
		"a proxy of another kind": {Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: at.Host})},
		"no proxy at the address": {Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})},
	} {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if _, err := ws.Dial(context.Background(), "ws://example.invalid/", o); err == nil {
			t.Errorf("%s: connected", name)
		}
	}
}
