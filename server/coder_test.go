package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/coder/aead"
	"github.com/seed-fbfaa03e/arpc/coder/gzip"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
)

// counting is a coder that counts the broadcasts it encodes.
type counting struct {
	*gzip.Coder
	news atomic.Int64
}

func (c *counting) Encode(dst, frame []byte) ([]byte, error) {
	if bytes.Contains(frame, []byte("/news")) {
		c.news.Add(1)
	}
	return c.Coder.Encode(dst, frame)
}

func secret(t testing.TB) *aead.Coder {
	t.Helper()
	c, err := aead.New(make([]byte, aead.KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBroadcastsAreCodedOnce(t *testing.T) {
	const listeners, news = 20, 50
	counted := &counting{Coder: gzip.New(0)}
	h := open(t, func(s *server.Server) { s.Handler.UseCoder(counted) })
	heard := make(chan string, listeners*news)
	for i := range listeners {
		handler := arpc.NewHandler()
		handler.UseCoder(gzip.New(0))
		handler.Handle("/news", func(ctx *arpc.Context) { heard <- string(ctx.Body()) })
		mustEcho(t, dialWith(t, h.address([]string{"tcp", "websocket"}[i%2]), handler))
	}
	for i := range news {
		if err := h.Broadcast("/news", strings.Repeat(fmt.Sprint(i, " "), 200)); err != nil {
			t.Fatal(err)
		}
	}
	for range listeners * news {
		arpctest.Receive(t, heard, "news")
	}
	if n := counted.news.Load(); n != news {
		t.Errorf("%d broadcasts coded %d times for %d clients", news, n, listeners)
	}
}

func TestHTTPIsNotCoded(t *testing.T) {
	_, url := openHTTP(t, func(h *arpc.Handler) {
		h.UseCoder(secret(t))
		h.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	})
	if r := post(t, url+"/echo", `"hi"`); r.status != http.StatusOK || r.body != `"hi"` {
		t.Errorf("%d %s", r.status, r.body)
	}
}
