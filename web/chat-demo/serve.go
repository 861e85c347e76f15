package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/pubsub/bolt"
	"github.com/seed-fbfaa03e/arpc/server"
)

// How long what is in flight may take when the demo ends.
const shutdownTimeout = 5 * time.Second

// serve opens both doors, tells where on stdout, and serves until ctx is done
// or a door fails. Then it ends in order.
func serve(ctx context.Context, cfg config, stdout io.Writer) error {
	page, err := builtPage()
	if err != nil {
		return err
	}
	httpListener, err := listen("-http", cfg.httpAddr)
	if err != nil {
		return err
	}
	defer httpListener.Close()
	tcpListener, err := listen("-tcp", cfg.tcpAddr)
	if err != nil {
		return err
	}
	defer tcpListener.Close()

	topics, err := newTopics(cfg)
	if err != nil {
		return err
	}
	web := newWebServer(page, topics.WebSocket(), http.StripPrefix("/call", topics.HTTP()))
	fmt.Fprintf(stdout, "arpc chat demo: http://%s\n", reachable(cfg.httpAddr, httpListener))
	fmt.Fprintf(stdout, "raw TCP: %s\n", reachable(cfg.tcpAddr, tcpListener))

	failed := make(chan error, 2)
	go func() { failed <- web.Serve(httpListener) }()
	go func() { failed <- topics.Serve(tcpListener) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, shutdown(web, topics))
}

// newTopics returns the arpc server: its topics, the chat, and routes to try it
// with.
func newTopics(cfg config) (*pubsub.Server, error) {
	opts := append(chatOptions(), pubsub.Open())
	if cfg.password != "" {
		opts = append(opts, pubsub.Password(cfg.password))
	}
	if cfg.data != "" {
		kept, err := openData(cfg.data)
		if err != nil {
			return nil, err
		}
		opts = append(opts, pubsub.WithBroker(kept))
	}
	topics := &pubsub.Server{Server: server.New(server.TrustedProxies(cfg.proxies...)), Hub: pubsub.NewHub(opts...)}
	topics.Handler.SetLimits(arpc.Limits{Ping: cfg.ping})
	topics.Hub.Mount(topics.Handler)
	playground(topics.Handler)
	if err := mountChat(topics, cfg.rate); err != nil {
		topics.Hub.Close()
		return nil, fmt.Errorf("open the chat: %w", err)
	}
	return topics, nil
}

// openData opens the file that keeps the topics, in a directory that nobody else
// may read.
func openData(dir string) (*bolt.Broker, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("-data %s: %w", dir, err)
	}
	kept, err := bolt.Open(filepath.Join(dir, "topics.db"))
	if err != nil {
		return nil, fmt.Errorf("-data %s: %w", dir, err)
	}
	return kept, nil
}

// shutdown lets nobody in any more, lets what is under way end, and ends the
// rest. What did not end in time is told, and no failure of ours.
func shutdown(web *http.Server, topics *pubsub.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := topics.Shutdown(ctx); err != nil {
		slog.Warn("ended what was still under way", "after", shutdownTimeout, "error", err)
	}
	// The page needs no farewell: a browser's idle connections just end.
	return web.Close()
}

// listen opens the address of a flag.
func listen(name, addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s %s: the address is in use; choose another one with %s host:port (make run: %s=host:port)",
			name, addr, name, map[string]string{"-http": "HTTP_ADDR", "-tcp": "TCP_ADDR"}[name])
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, addr, err)
	}
	return listener, nil
}

// reachable is the address to connect to: the host as it was asked for, where
// that is one, and the port that was taken.
func reachable(addr string, listener net.Listener) string {
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return net.JoinHostPort(host, port)
}
