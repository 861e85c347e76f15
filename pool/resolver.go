package pool

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
)

// Resolver finds the servers there are, as addresses that arpc.Dial takes. It is
// asked again and again, one call at a time, and may block until ctx ends.
type Resolver func(ctx context.Context) ([]string, error)

// Static is a fixed list of addresses.
func Static(addresses ...string) Resolver {
	return func(context.Context) ([]string, error) { return addresses, nil }
}

// DNS finds every IP address of the host in address: tcp://backend:8888 becomes
// tcp://10.0.0.1:8888 and tcp://10.0.0.2:8888. With tls and wss the certificate is
// for the name all the same, so give it to arpc.WithTLS as ServerName.
func DNS(address string) Resolver { return dns(net.DefaultResolver, address) }

// lookup is what of net.Resolver is needed.
type lookup interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

func dns(from lookup, address string) Resolver {
	return func(ctx context.Context) ([]string, error) {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("resolve %q: %w", address, err)
		}
		hosts, err := from.LookupHost(ctx, u.Hostname())
		if err != nil {
			return nil, fmt.Errorf("resolve %q: %w", address, err)
		}
		slices.Sort(hosts)
		all := make([]string, len(hosts))
		for i, host := range hosts {
			found := *u
			found.Host = net.JoinHostPort(host, u.Port())
			if u.Port() == "" {
				found.Host = bracketed(host)
			}
			all[i] = found.String()
		}
		return all, nil
	}
}

// bracketed is an IP address as a URL has it.
func bracketed(host string) string {
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		return "[" + host + "]"
	}
	return host
}
