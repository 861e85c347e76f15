package server

import "net/http"

// preflightAge is for how many seconds a browser need not ask again: two hours, the
// most that each of them grants.
const preflightAge = "7200"

// letOrigin tells a browser that a page of an origin that AllowOrigins lists may
// read the answer, with the cookies it sent if the origin is listed by name. It
// reports whether that is all there is to say: a preflight was asked.
func (s *Server) letOrigin(w http.ResponseWriter, r *http.Request) (preflight bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || !s.listed(r) {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if s.cfg.origins[origin] {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	} else {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		return false
	}
	h.Set("Access-Control-Allow-Methods", http.MethodPost)
	if headers := r.Header.Get("Access-Control-Request-Headers"); headers != "" {
		h.Set("Access-Control-Allow-Headers", headers) // a page that may ask may say what it wants
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	return true
}
