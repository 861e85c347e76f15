package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/ws"
)

const (
	// site is where the page about deploying puts the demo.
	site = "app.example.org"

	// visitorIP is where the clients of these tests come from. The proxies connect
	// from 127.0.0.1, the one address that the demo is told to believe.
	visitorIP = "127.0.0.4"

	trustProxy = "-proxy=127.0.0.1/32"
)

// proxies are the ones that the page about deploying knows. The tests run its
// configurations with the real programs, in front of the demo as it is shipped.
var proxies = map[string]func(t *testing.T, demo *process) proxy{
	"nginx": startNginx,
	"Caddy": startCaddy,
}

// proxy is a running proxy in front of a demo.
type proxy struct {
	address string
	tls     *tls.Config // of clients that know its certificate
}

// fromVisitor opens a connection to the proxy, whatever address it is asked for.
func (p proxy) fromVisitor(ctx context.Context, network, _ string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(visitorIP)}}
	return d.DialContext(ctx, network, p.address)
}

// upgrade opens a WebSocket through the proxy, as a page of the origin does.
func (p proxy) upgrade(origin string) (net.Conn, error) {
	return ws.Dial(context.Background(), "wss://"+site+"/ws", ws.DialOptions{
		HandshakeTimeout: arpctest.Wait,
		Header:           http.Header{"Origin": {origin}, "X-Forwarded-For": {"203.0.113.7"}},
		TLS:              p.tls,
		NetDial:          p.fromVisitor,
	})
}

// dial connects over wss through the proxy.
func (p proxy) dial(t *testing.T, h *arpc.Handler) *pubsub.Client {
	t.Helper()
	c, err := pubsub.NewClient(func() (net.Conn, error) { return p.upgrade("https://" + site) },
		pubsub.WithHandler(h))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c
}

// visitor is an HTTP client of the site.
func (p proxy) visitor(t *testing.T) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls, DialContext: p.fromVisitor}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// post makes a call over HTTP that claims to come from elsewhere.
func post(t *testing.T, client *http.Client, url, body string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	told, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || json.Unmarshal(told, answer) != nil {
		t.Fatalf("%s answered %s, %s, %v", url, res.Status, told, err)
	}
}

// behindEach runs a test behind each of the proxies.
func behindEach(t *testing.T, args []string, test func(t *testing.T, demo *process, p proxy)) {
	t.Parallel()
	for name, front := range proxies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			demo := start(t, append([]string{"-http=127.0.0.1:0", trustProxy}, args...)...)
			test(t, demo, front(t, demo))
		})
	}
}

func TestSiteBehindProxy(t *testing.T) {
	behindEach(t, nil, func(t *testing.T, _ *process, p proxy) {
		res, err := p.visitor(t).Get("https://" + site + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if page, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(page), "app.js") {
			t.Errorf("the page is %s, %.60q, %v", res.Status, page, err)
		}
		if conn, err := p.upgrade("https://evil.example"); err == nil {
			conn.Close()
			t.Error("a page of elsewhere may connect")
		}
	})
}

func TestForwardedAddressBehindProxy(t *testing.T) {
	behindEach(t, nil, func(t *testing.T, demo *process, p proxy) {
		const forwarded = visitorIP + ":0" // no proxy forwards the port
		var from string
		if err := p.dial(t, arpc.NewHandler()).Call("/address", nil, &from, arpctest.Wait); err != nil || from != forwarded {
			t.Errorf("over WebSocket it comes from %s, %v", from, err)
		}
		if post(t, p.visitor(t), "https://"+site+"/call/address", "", &from); from != forwarded {
			t.Errorf("over HTTP it comes from %s", from)
		}
		// Who goes around the proxy is not believed.
		around := proxy{address: strings.TrimPrefix(demo.web, "http://")}
		if post(t, around.visitor(t), demo.web+"/call/address", "", &from); !strings.HasPrefix(from, visitorIP+":") || from == forwarded {
			t.Errorf("around the proxy it comes from %s", from)
		}
	})
}

func TestPublishedBehindProxy(t *testing.T) {
	behindEach(t, nil, func(t *testing.T, _ *process, p proxy) {
		heard := make(chan string, 2)
		if _, err := p.dial(t, arpc.NewHandler()).Subscribe("orders", func(m *pubsub.Message) { heard <- string(m.Data.Data) }); err != nil {
			t.Fatal(err)
		}
		var at [2]struct{ Offset uint64 }
		for i := range at { // the second is the first one tried again
			post(t, p.visitor(t), "https://"+site+"/call/publish", `{"topic": "orders", "data": "14", "key": "order-14"}`, &at[i])
		}
		if got := arpctest.Receive(t, heard, "publication"); got != "14" || at[0].Offset != 1 || at[1] != at[0] {
			t.Errorf("heard %q, published at %v", got, at)
		}
	})
}

// The demo's ping keeps a connection alive on which nothing is said for longer than
// a proxy waits.
func TestIdleBehindProxy(t *testing.T) {
	const ping = proxyPatience / 5
	behindEach(t, []string{"-ping=" + ping.String()}, func(t *testing.T, _ *process, p proxy) {
		var reads, connections atomic.Int32
		h := arpc.NewHandler()
		h.BeforeRecv(func(net.Conn) error { reads.Add(1); return nil })
		h.HandleConnected(func(*arpc.Client) { connections.Add(1) })
		c := p.dial(t, h)
		if err := c.Call("/address", nil, nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
		// From here on each read is a ping.
		enough := reads.Load() + int32(2*proxyPatience/ping)
		arpctest.Eventually(t, "pings", func() bool { return reads.Load() > enough })
		if err := c.Call("/address", nil, nil, arpctest.Wait); err != nil {
			t.Error(err)
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%d connections were needed", n)
		}
	})
}

// Without the ping nginx cuts it: what the test before shows is not nginx's patience.
// Caddy has no such timeout.
func TestNginxCutsWhoIsSilent(t *testing.T) {
	t.Parallel()
	p := startNginx(t, start(t, "-http=127.0.0.1:0", trustProxy, "-ping="+time.Hour.String()))
	ended := make(chan error, 8)
	h := arpc.NewHandler()
	h.HandlePaused(func(_ *arpc.Client, err error) { ended <- err })
	p.dial(t, h)
	if err := arpctest.Receive(t, ended, "end of the connection"); arpc.CloseReason(err) != arpc.ClosedByPeer {
		t.Errorf("it ended with %v", err)
	}
}
