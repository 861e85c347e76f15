package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// fromProxy is r and the address it comes from, if that is not the socket's: what
// the trusted proxies wrote down. The address in r is the same, so that whoever
// looks there is not led astray.
func (s *Server) fromProxy(r *http.Request) (*http.Request, net.Addr) {
	socket, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !s.trusts(socket.Addr()) {
		return r, nil
	}
	client, ok := s.forwardedFor(r.Header.Values("X-Forwarded-For"))
	if !ok {
		return r, nil
	}
	address := &net.TCPAddr{IP: client.AsSlice(), Zone: client.Zone()}
	known := *r
	known.RemoteAddr = address.String()
	return &known, address
}

// forwardedFor is the last address in the list that no trusted proxy has: each
// proxy appends who it was asked by, and what stands before the first that we do
// not know, anybody can have written.
func (s *Server) forwardedFor(lines []string) (client netip.Addr, ok bool) {
	list := strings.Split(strings.Join(lines, ","), ",")
	for i := len(list) - 1; i >= 0; i-- {
		address, err := netip.ParseAddr(strings.TrimSpace(list[i]))
		if err != nil {
			return client, ok
		}
		client, ok = address.Unmap(), true
		if !s.trusts(client) {
			return client, ok
		}
	}
	return client, ok
}

func (s *Server) trusts(address netip.Addr) bool {
	for _, p := range s.cfg.proxies {
		if p.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}
