// Command cutter stands in front of a server and ends connections on command: for
// tests that cannot hold a cuts.Proxy in their own process, such as those of a
// browser. It prints the address it carries and that of its commands, one a line,
// and ends with its standard input.
//
//	cutter SERVER
//
// The commands are POST requests:
//
//	/cut              ends the connections there are; ?reset=1 as a lost network does
//	/next?down=1000   ends the next connection after so many bytes from the server, or up=
//	/down  /up        ends all connections until /up
//
// Each answers with JSON: {"connections", "cuts"}, which GET /stats does as well.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/cuts"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: cutter SERVER")
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves until in ends.
func run(server string, in io.Reader, out io.Writer) error {
	var c control
	proxy, err := cuts.NewProxy(cuts.Config{Server: server, Plan: c.planned})
	if err != nil {
		return err
	}
	defer proxy.Close()
	c.proxy = proxy
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	site := &http.Server{Handler: c.routes(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- site.Serve(listener) }()
	if _, err := fmt.Fprintf(out, "%s\n%s\n", proxy.Address, listener.Addr()); err != nil {
		return fmt.Errorf("say where it listens: %w", err)
	}
	_, _ = io.Copy(io.Discard, in) // however it ends, it ends
	if err := site.Close(); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve commands: %w", err)
	}
	return nil
}

// control does what it is told.
type control struct {
	proxy *cuts.Proxy

	mu   sync.Mutex
	next *cuts.Cut // guarded by mu
}

// planned is the cut that was ordered for the next connection.
func (c *control) planned(int) *cuts.Cut {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.next
	c.next = nil
	return next
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	for path, command := range map[string]func(*http.Request) error{
		"GET /stats": func(*http.Request) error { return nil },
		"POST /cut":  func(r *http.Request) error { c.proxy.CutAll(r.FormValue("reset") != ""); return nil },
		"POST /next": c.order,
		"POST /down": func(*http.Request) error { c.proxy.Down(); return nil },
		"POST /up":   func(*http.Request) error { c.proxy.Up(); return nil },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := command(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]int{"connections": c.proxy.Connections(), "cuts": c.proxy.Cuts()}) // who asked is gone
		})
	}
	return mux
}

// order plans the cut of the next connection.
func (c *control) order(r *http.Request) error {
	cut := &cuts.Cut{Reset: r.FormValue("reset") != ""}
	text := r.FormValue("up")
	if text == "" {
		cut.Way, text = cuts.Down, r.FormValue("down")
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return fmt.Errorf("up or down is to be a number of bytes, not %q", text)
	}
	cut.After = after
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = cut
	return nil
}
