package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// exampleCall calls a server once, and ends both.
func exampleCall(s *server.Server, c *arpc.Client) {
	s.Handler.Handle("/from", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Client.RemoteAddr().Network()) })
	var network string
	err := c.Call("/from", nil, &network, 5*time.Second)
	fmt.Println(network, err)
	exampleStop(c)
	exampleEnd(s)
}

// exampleTLS are the configurations of both ends, with a certificate for 127.0.0.1.
func exampleTLS() (own, peer *tls.Config) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// TLS is a listener around another.
func ExampleServer_Serve_tls() {
	own, peer := exampleTLS()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", own)
	if err != nil {
		log.Fatal(err)
	}
	s := server.New()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	c, err := arpc.Dial(context.Background(), "tls://"+ln.Addr().String(), arpc.WithTLS(peer))
	if err != nil {
		log.Fatal(err)
	}
	exampleCall(s, c)
	fmt.Println(<-served)
	// Output:
	// tcp <nil>
	// server closed
}

func ExampleServer_Serve_unix() {
	dir, err := os.MkdirTemp("", "arpc")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	s := server.New()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	c, err := arpc.Dial(context.Background(), "unix://"+path)
	if err != nil {
		log.Fatal(err)
	}
	exampleCall(s, c)
	fmt.Println(<-served)
	// Output:
	// unix <nil>
	// server closed
}

// WSS is the WebSocket door of an HTTPS server.
func ExampleServer_WebSocket_tls() {
	own, peer := exampleTLS()
	s := server.New()
	web := httptest.NewUnstartedServer(s.WebSocket())
	web.TLS = own
	web.StartTLS()
	defer web.Close()

	c, err := arpc.Dial(context.Background(), strings.Replace(web.URL, "https", "wss", 1), arpc.WithTLS(peer))
	if err != nil {
		log.Fatal(err)
	}
	exampleCall(s, c)
	// Output: tcp <nil>
}

// pipes is a net.Listener in memory.
type pipes struct {
	dialed chan net.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

func newPipes() *pipes {
	p := &pipes{dialed: make(chan net.Conn)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.cancel(); return nil }
func (p *pipes) Addr() net.Addr { return nil }

func (p *pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.dialed <- far:
		return near, nil
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Any net.Listener will do, and any function that gives a net.Conn: here a pipe in
// memory, in examples/quic a stream of QUIC.
func ExampleServer_Serve_pipe() {
	ln := newPipes()
	s := server.New()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	c, err := arpc.NewClient(ln.dial)
	if err != nil {
		log.Fatal(err)
	}
	exampleCall(s, c)
	fmt.Println(<-served)
	// Output:
	// pipe <nil>
	// server closed
}
