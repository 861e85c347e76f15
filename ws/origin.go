package ws

import (
	"net/http"
	"net/url"
	"strings"
)

// SameOrigin accepts a request whose Origin names the host it was sent to. A
// request without Origin does not come from a browser's page and is accepted.
func SameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
