package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

// nginxAddress is where nginx connects from. Clients of the test come from
// 127.0.0.1, so that the two can be told apart.
const nginxAddress = "127.0.0.3"

// proxy is a running nginx in front of a backend.
type proxy struct {
	address string
	tls     *tls.Config // of clients that know its certificate
}

// startNginx runs nginx with the configuration of docs/deploy.md, of which only
// addresses and paths are replaced. A server is cut off after a second of silence,
// instead of nginx's sixty.
func startNginx(t *testing.T, backend string) proxy {
	t.Helper()
	binary, err := exec.Command("../scripts/require.sh", "nginx").Output()
	if err != nil {
		t.Fatalf("needed: nginx. ../scripts/require.sh nginx says how: %v", err)
	}
	dir := t.TempDir()
	clients := writeCertificate(t, dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	config := documented(t)
	for _, r := range []struct{ from, to string }{
		{"listen 443 ssl;", "listen " + ln.Addr().String() + " ssl;"},
		{"/etc/ssl/app.example.org.pem", filepath.Join(dir, "cert.pem")},
		{"/etc/ssl/app.example.org.key", filepath.Join(dir, "key.pem")},
		{"http://127.0.0.1:8080", backend},
	} {
		if !strings.Contains(config, r.from) {
			t.Fatalf("%q is not in the documented configuration", r.from)
		}
		config = strings.ReplaceAll(config, r.from, r.to)
	}
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	config = "daemon off; worker_processes 1; error_log stderr info;\npid " + filepath.Join(dir, "pid") + ";\n" +
		"events { worker_connections 64; }\nhttp {\naccess_log off;\n" + temporary.String() +
		"proxy_read_timeout 1s; proxy_bind " + nginxAddress + ";\n" + config + "}\n"
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// It takes our listener over, as it does from a predecessor: the port is ours
	// from the start, and who connects early waits.
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var log lockedText
	nginx := exec.Command(strings.TrimSpace(string(binary)), "-p", dir, "-c", path)
	nginx.Env = append(os.Environ(), "NGINX=3;")
	nginx.ExtraFiles = []*os.File{socket}
	nginx.Stderr = &log
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Signal(syscall.SIGTERM)
		_ = nginx.Wait() // what it says is in the log
		if t.Failed() {
			t.Logf("nginx: %s", log.String())
		}
	})
	return proxy{ln.Addr().String(), clients}
}

// documented is the configuration in the page about deploying.
func documented(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/deploy.md has no configuration of nginx")
	}
	return string(block[1])
}

// writeCertificate gives nginx the certificate that httptest has for 127.0.0.1.
func writeCertificate(t *testing.T, dir string) *tls.Config {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	own := web.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: own.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return web.Client().Transport.(*http.Transport).TLSClientConfig
}

// dialThrough connects over wss through the proxy.
func (p proxy) dial(t *testing.T, h *arpc.Handler, header http.Header) *arpc.Client {
	t.Helper()
	header.Set("Origin", "https://"+p.address) // as a page from there has it
	c, err := arpc.Dial(context.Background(), "wss://"+p.address+"/ws",
		arpc.WithHandler(h), arpc.WithTLS(p.tls), arpc.WithHeader(header))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(); arpctest.Closed(t, c.Done(), "client") })
	return c
}

// behindNginx is a server with both HTTP doors behind nginx.
func behindNginx(t *testing.T, ping time.Duration) (direct string, p proxy) {
	t.Helper()
	s := server.New(server.TrustedProxies(netip.MustParsePrefix(nginxAddress + "/32")))
	s.Handler.SetLimits(arpc.Limits{Ping: ping})
	s.Handler.Handle("/from", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.RemoteAddr().String()) })
	mux := http.NewServeMux()
	mux.Handle("/ws", s.WebSocket())
	mux.Handle("/call/", http.StripPrefix("/call", s.HTTP()))
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return web.URL, startNginx(t, web.URL)
}

func TestNginxPassesCallsAndForwardedAddresses(t *testing.T) {
	direct, p := behindNginx(t, 25*time.Second)
	claim := http.Header{"X-Forwarded-For": {"203.0.113.7"}}

	var from string
	if err := p.dial(t, arpc.NewHandler(), claim.Clone()).Call("/from", nil, &from, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	if from != "127.0.0.1:0" { // as nginx says, which forwards no port
		t.Errorf("over WebSocket it comes from %s", from)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: p.tls}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(postRequest(t, "https://"+p.address+"/call/from", "", claim))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&from); err != nil || from != "127.0.0.1:0" {
		t.Errorf("over HTTP it comes from %s, %v", from, err)
	}
	// Who goes around the proxy is not believed.
	if got := do(t, postRequest(t, direct+"/call/from", "", claim)); !strings.HasPrefix(got.body, `"127.0.0.1:`) || strings.HasSuffix(got.body, `:0"`) {
		t.Errorf("directly it comes from %s", got.body)
	}
}

// Our ping keeps a connection alive on which nothing is said for longer than the
// proxy's timeout.
func TestIdleConnectionOutlivesTheTimeoutOfNginx(t *testing.T) {
	const ping = 200 * time.Millisecond
	_, p := behindNginx(t, ping)
	var reads, connections atomic.Int32
	h := arpc.NewHandler()
	h.BeforeRecv(func(net.Conn) error { reads.Add(1); return nil })
	h.HandleConnected(func(*arpc.Client) { connections.Add(1) })
	c := p.dial(t, h, http.Header{})
	// Each read but the first few is a ping: these take twice nginx's second.
	arpctest.Eventually(t, "pings", func() bool { return reads.Load() > int32(2*time.Second/ping)+3 })
	if err := c.Call("/from", nil, nil, arpctest.Wait); err != nil {
		t.Error(err)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections were needed", n)
	}
}

// Without the ping nginx cuts it: what the test before shows is not nginx's patience.
func TestNginxCutsWhoIsSilent(t *testing.T) {
	_, p := behindNginx(t, time.Hour)
	ended := make(chan error, 8)
	h := arpc.NewHandler()
	h.HandlePaused(func(_ *arpc.Client, err error) { ended <- err })
	p.dial(t, h, http.Header{})
	if err := arpctest.Receive(t, ended, "end of the connection"); arpc.CloseReason(err) != arpc.ClosedByPeer {
		t.Errorf("it ended with %v", err)
	}
}

// lockedText takes what a process writes while a test may look at it.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
