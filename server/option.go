package server

import (
	"net/netip"
	"time"

	"github.com/seed-fbfaa03e/arpc/topic"
)

// Option is a setting of New.
type Option func(*config)

type config struct {
	maxLoad      int
	origins      map[string]bool
	anyOrigin    bool
	subprotocols []string
	history      topic.Limits
	proxies      []netip.Prefix
	httpTimeout  time.Duration
}

// MaxLoad bounds the number of connections; zero, the default, does not. A
// connection beyond it is closed, a WebSocket handshake answered with status 503.
func MaxLoad(n int) Option { return func(c *config) { c.maxLoad = n } }

// AllowOrigins lets pages of other origins open WebSockets and call over HTTP, with
// the cookies of their visitors: "https://example.org", scheme, host and port exactly
// as browsers send them. "*" allows every page of the web, over HTTP without cookies,
// which is right only where nothing depends on who asks. Without it a page can reach
// only the host it came from.
func AllowOrigins(origins ...string) Option {
	return func(c *config) {
		if c.origins == nil {
			c.origins = map[string]bool{}
		}
		for _, o := range origins {
			c.origins[o] = true
			c.anyOrigin = c.anyOrigin || o == "*"
		}
	}
}

// Subprotocols are the WebSocket subprotocols that the server speaks, the
// preferred first; none by default.
func Subprotocols(names ...string) Option {
	return func(c *config) { c.subprotocols = names }
}

// BroadcastHistory sets what is kept of broadcasts for clients that lag or come
// back: by default 1,000, 4 MiB and one minute, whichever is reached first. A
// bound that is zero in l does not hold.
func BroadcastHistory(l topic.Limits) Option { return func(c *config) { c.history = l } }

// TrustedProxies are the addresses of the proxies in front of the server, and of
// no one else. For WebSockets and HTTP requests that come from them the address
// of the client is the one they wrote into X-Forwarded-For: in Client.RemoteAddr
// and in Client.Request. Only through them does a page of another name than
// localhost reach a server on a loopback address, unless AllowOrigins lists it.
// By default none is trusted, because anybody can send that header.
func TrustedProxies(proxies ...netip.Prefix) Option {
	return func(c *config) {
		for _, p := range proxies {
			c.proxies = append(c.proxies, p.Masked())
		}
	}
}

// DefaultHTTPTimeout is how long a request to Server.HTTP may take.
const DefaultHTTPTimeout = 30 * time.Second

// HTTPTimeout sets how long a request to Server.HTTP may take, from its header to
// its answer; the default is DefaultHTTPTimeout, also where d is not above zero.
func HTTPTimeout(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.httpTimeout = d
		}
	}
}
