package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// WebSocket is the WebSocket door of the server. It takes any path, so it is
// mounted where it should be found: mux.Handle("/ws", s.WebSocket()), or in gin
// r.GET("/ws", gin.WrapH(s.WebSocket())).
func (s *Server) WebSocket() http.Handler { return http.HandlerFunc(s.upgrade) }

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	if err := s.letIn(); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no room for another connection", http.StatusServiceUnavailable)
		return
	}
	arrived := time.Now() // what a client says later is read later, but not always in that order
	r, address := s.fromProxy(r)
	if why := s.foreign(r, address != nil); why != "" {
		s.letOut()
		s.logRefusal(r, why)
		http.Error(w, why, http.StatusForbidden)
		return
	}
	limits := s.Handler.Limits()
	conn, err := ws.Upgrade(w, r, ws.UpgradeOptions{
		Limits:           limits.WebSocket(),
		HandshakeTimeout: limits.Handshake,
		CheckOrigin:      func(*http.Request) bool { return true }, // it is checked
		Subprotocols:     s.cfg.subprotocols,
	})
	if err != nil {
		s.letOut()
		s.logRefusal(r, err)
		return
	}
	s.serveConn(conn, arpc.Accepted{Request: shaken(r), RemoteAddr: address, Arrived: arrived})
}

// ofHandshake are the headers that only the handshake needed.
var ofHandshake = []string{"Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions"}

// shaken is a request as its connection keeps it, which may be as long as a server
// runs. Values are copied because one array holds those of all headers.
func shaken(r *http.Request) *http.Request {
	kept := *r
	kept.Header = make(http.Header, len(r.Header))
	for name, values := range r.Header {
		if !slices.Contains(ofHandshake, name) {
			kept.Header[name] = slices.Clone(values)
		}
	}
	return &kept
}

func (s *Server) logRefusal(r *http.Request, why any) {
	s.Handler.Logger().Info("arpc: upgrade refused",
		"from", r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"), "error", why)
}

// What is wrong with where a page came from, and the settings that let it in: for
// the log, and for who asks with curl. Scripts of the page cannot read it.
const (
	otherOrigin = "a page of another origin: list it with server.AllowOrigins, or let the proxy in front pass on its Host"
	otherName   = "a page of another name than localhost, on a loopback address: name the proxy in front with server.TrustedProxies, " +
		"or list the page with server.AllowOrigins"
)

// foreign is why a page may not reach us; empty if it may. A request without
// Origin is not a browser's and is let in. What a trusted proxy passed on came to
// a name of the proxy's, on whatever address that reaches us.
func (s *Server) foreign(r *http.Request, proxied bool) string {
	switch {
	case r.Header.Get("Origin") == "" || s.listed(r):
		return ""
	case !ws.SameOrigin(r):
		return otherOrigin
	case !proxied && rebound(r):
		return otherName
	}
	return ""
}

// listed reports whether a request is of an origin that AllowOrigins names.
func (s *Server) listed(r *http.Request) bool {
	return s.cfg.anyOrigin || s.cfg.origins[r.Header.Get("Origin")]
}

// rebound recognises DNS rebinding: a page whose name was made to point at this
// machine is same-origin by name, so on a loopback address the name has to be
// a loopback name too.
func rebound(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return false
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	if ip := net.ParseIP(host); ip != nil {
		return !ip.IsLoopback()
	}
	return host != "localhost" && !strings.HasSuffix(host, ".localhost")
}
