// Command quic runs arpc over QUIC, server and client in one process: any net.Conn
// will do, so it takes a file to make one of a QUIC stream, and none in arpc.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http/httptest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

func main() {
	reply, err := run("Ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply)
}

// run calls a server over QUIC, and is called back by it.
func run(name string) (reply string, err error) {
	own, peer := certificates()
	ln, err := listen("127.0.0.1:0", own)
	if err != nil {
		return "", err
	}
	s := server.New()
	s.Handler.Handle("/hello", func(ctx *arpc.Context) {
		var name string
		if err := ctx.Client.Call("/name", nil, &name, 5*time.Second); err != nil {
			_ = ctx.Error(err)
			return
		}
		_ = ctx.Write("hello, " + name + ", over QUIC")
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()

	h := arpc.NewHandler()
	h.Handle("/name", func(ctx *arpc.Context) { _ = ctx.Write(name) })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := arpc.NewClient(func() (net.Conn, error) {
		return dial(ctx, ln.Addr().String(), peer)
	}, arpc.WithHandler(h))
	if err != nil {
		return "", err
	}
	err = c.Call("/hello", nil, &reply, 5*time.Second)
	c.Stop()
	<-c.Done()
	if failure := s.Shutdown(ctx); err == nil {
		err = failure
	}
	<-served
	return reply, err
}

// certificates are those of both ends, for this machine only.
func certificates() (own, peer *tls.Config) {
	const protocol = "arpc" // QUIC wants one named
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	own = &tls.Config{Certificates: web.TLS.Certificates, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS13}
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	peer = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{protocol}, MinVersion: tls.VersionTLS13}
	return own, peer
}
