package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// proxyPatience is the silence after which nginx cuts a connection here, instead of
// after its sixty seconds.
const proxyPatience = 2 * time.Second

// startNginx runs nginx with the documented configuration, of which only addresses
// and paths are replaced.
func startNginx(t *testing.T, demo *process) proxy {
	t.Helper()
	dir := t.TempDir()
	cert, key, clients := writeCertificate(t, dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	config := documented(t, "nginx",
		"listen 443 ssl;", "listen "+ln.Addr().String()+" ssl;",
		"/etc/ssl/app.example.org.pem", cert,
		"/etc/ssl/app.example.org.key", key,
		"http://127.0.0.1:8080", demo.web,
	)
	var temporary strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temporary, "%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	around := "daemon off; worker_processes 1; error_log stderr info; pid %s;\n" +
		"events { worker_connections 64; }\n" +
		"http {\naccess_log off; proxy_read_timeout %ds;\n%s\n%s\n}\n"
	path := writeFile(t, dir, "nginx.conf",
		fmt.Appendf(nil, around, filepath.Join(dir, "pid"), proxyPatience/time.Second, &temporary, config))

	// It takes our listener over, as it does from a predecessor: the port is ours
	// from the start, and who connects early waits.
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	nginx := exec.Command(required(t, "nginx"), "-p", dir, "-c", path)
	nginx.Env = append(os.Environ(), "NGINX=3;")
	nginx.ExtraFiles = []*os.File{socket}
	launch(t, nginx)
	return proxy{ln.Addr().String(), clients}
}

// startCaddy runs Caddy with the documented configuration, of which only addresses
// are replaced. It gets no certificate from the network, but ours.
func startCaddy(t *testing.T, demo *process) proxy {
	t.Helper()
	dir := t.TempDir()
	cert, key, clients := writeCertificate(t, dir)
	address := arpctest.Address(t, "127.0.0.5") // it takes no listener over
	host, port, _ := net.SplitHostPort(address)
	config := documented(t, "caddy",
		site+" {", fmt.Sprintf("https://%s:%s {\n\tbind %s\n\ttls %s %s", site, port, host, cert, key),
		"127.0.0.1:8080", strings.TrimPrefix(demo.web, "http://"),
	)
	path := writeFile(t, dir, "Caddyfile", []byte("{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+config))
	caddy := exec.Command(required(t, "caddy"), "run", "--config", path, "--adapter", "caddyfile")
	caddy.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	launch(t, caddy)
	arpctest.Eventually(t, "Caddy that listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return proxy{address, clients}
}

// documented is the configuration in the page about deploying, with pairs of what
// is replaced and by what.
func documented(t *testing.T, language string, replaced ...string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatalf("docs/deploy.md has no configuration of %s", language)
	}
	config := string(block[1])
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(config, replaced[i]) {
			t.Fatalf("%q is not in the documented configuration of %s", replaced[i], language)
		}
	}
	return strings.NewReplacer(replaced...).Replace(config)
}

// required is the path of a program that is not ours.
func required(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.Command("../../scripts/require.sh", program).Output()
	if err != nil {
		t.Fatalf("needed: %s. scripts/require.sh %s says how: %v", program, program, err)
	}
	return strings.TrimSpace(string(path))
}

// launch runs a proxy until the test ends, and tells what it said if that fails.
func launch(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // what it says is in the log
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, said.String())
		}
	})
}

// writeCertificate makes a certificate of the site, and the configuration of a
// client that trusts it.
func writeCertificate(t *testing.T, dir string) (cert, key string, clients *tls.Config) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{site},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, own, own, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	cert = writeFile(t, dir, "cert.pem", public)
	key = writeFile(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return cert, key, &tls.Config{RootCAs: roots, ServerName: site, MinVersion: tls.VersionTLS12}
}

func writeFile(t *testing.T, dir, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
