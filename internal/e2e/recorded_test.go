package e2e_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/server"
)

// recording is what was recorded from the original under one label: what its
// client sent, and what its server did.
type recording struct{ client, server [][]byte }

// recordings reads the frames that were recorded from the original.
func recordings(t testing.TB) map[string]*recording {
	t.Helper()
	text, err := os.ReadFile("../../wire/testdata/vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*recording{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		raw, err := hex.DecodeString(fields[len(fields)-1])
		if err != nil || len(fields) != 3 {
			t.Fatalf("%q: %v", line, err)
		}
		r := all[fields[0]]
		if r == nil {
			r = &recording{}
			all[fields[0]] = r
		}
		if fields[1] == "c->s" {
			r.client = append(r.client, raw)
		} else {
			r.server = append(r.server, raw)
		}
	}
	return all
}

var quiet = slog.New(slog.DiscardHandler)

// TestAnOriginalClientIsServed: its recorded requests get the recorded answers,
// byte for byte.
func TestAnOriginalClientIsServed(t *testing.T) {
	s := server.New()
	s.Handler.SetLogger(quiet)
	noted := make(chan string, 1)
	s.Handler.Handle("/echo", func(ctx *arpc.Context) { _ = ctx.Write(ctx.Raw()) })
	s.Handler.Handle("/fail", func(ctx *arpc.Context) { _ = ctx.Error("boom") })
	s.Handler.Handle("/note", func(ctx *arpc.Context) { noted <- string(ctx.Body()) })
	conn := serve(t, s)

	all := recordings(t)
	for _, label := range []string{
		"call /echo string hello", "call /echo struct", "call /echo utf8", "call /echo empty", "call /fail", "call /missing",
		"notify /note", "ping", "callasync /echo",
	} {
		r := all[label]
		if r == nil || len(r.client) == 0 {
			t.Fatalf("%q was not recorded", label)
		}
		if _, err := conn.Write(bytes.Join(r.client, nil)); err != nil {
			t.Fatal(err)
		}
		want := bytes.Join(r.server, nil)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n got %x\nwant %x", label, err, got, want)
		}
	}
	select {
	case text := <-noted:
		if text != "n1" {
			t.Errorf("noted %q", text)
		}
	case <-time.After(patience):
		t.Error("the notify did not arrive")
	}
}

// serve gives a server one connection.
func serve(t testing.TB, s *server.Server) net.Conn {
	t.Helper()
	ln := arpctest.Listen(t)
	serving := make(chan error, 1)
	go func() { serving <- s.Serve(ln) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() {
		conn.Close()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-serving
	})
	return conn
}

// original is the server's side of a recording: it compares what a client sends
// with what the original's sent, and answers what the original's server did.
type original struct {
	t    *testing.T
	conn net.Conn
}

// dialOriginal makes a client of something, and the other end of its connection.
func dialOriginal[C any](t *testing.T, dial func(func() (net.Conn, error)) (C, error), script func(original)) (c C, played <-chan struct{}) {
	t.Helper()
	ln := arpctest.Listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		script(original{t, conn})
		_, _ = io.Copy(io.Discard, conn) // until the client goes
	}()
	c, err := dial(func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	return c, done
}

// play reads a request, compares it with the recorded one but for its seq and
// its last free bytes, and answers with the recorded frames, of which those
// that answer get that seq. It reports whether to go on.
func (o original) play(label string, r *recording, free int) bool {
	want := bytes.Join(r.client, nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(o.conn, got); err != nil {
		o.t.Errorf("%s: %v", label, err)
		return false
	}
	seq := bytes.Clone(got[8:16])
	copy(got[8:16], want[8:16])
	copy(got[len(got)-free:], want[len(want)-free:])
	if !bytes.Equal(got, want) {
		o.t.Errorf("%s:\nsent     %x\nrecorded %x", label, got, want)
	}
	for _, answer := range r.server {
		for rest := bytes.Clone(answer); len(rest) > 0; {
			n := rawframe.HeaderLen + int(binary.LittleEndian.Uint32(rest))
			if rest[5] == rawframe.CmdResponse {
				copy(rest[8:16], seq)
			}
			if _, err := o.conn.Write(rest[:n]); err != nil {
				o.t.Errorf("%s: %v", label, err)
				return false
			}
			rest = rest[n:]
		}
	}
	return true
}

// TestAnOriginalServerIsCalled: our client sends what the original's sent, and
// takes what the original's server answered.
func TestAnOriginalServerIsCalled(t *testing.T) {
	all := recordings(t)
	var text string
	var pair struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	pair.A, pair.B = 7, "x"
	steps := []struct {
		label string
		do    func(c *arpc.Client) error
	}{
		{"call /echo string hello", func(c *arpc.Client) error {
			return wantText("hello", c.Call("/echo", "hello", &text, patience), &text)
		}},
		{"call /echo struct", func(c *arpc.Client) error {
			asked := pair
			pair.A, pair.B = 0, ""
			if err := c.Call("/echo", asked, &pair, patience); err != nil || pair != asked {
				return errors.Join(err, errors.New("another struct"))
			}
			return nil
		}},
		{"call /echo utf8", func(c *arpc.Client) error {
			return wantText("héllo 世界 🌍", c.Call("/echo", "héllo 世界 🌍", &text, patience), &text)
		}},
		{"call /echo empty", func(c *arpc.Client) error {
			return wantText("", c.Call("/echo", "", &text, patience), &text)
		}},
		{"call /fail", func(c *arpc.Client) error {
			if err := c.Call("/fail", "x", nil, patience); err == nil || err.Error() != "boom" {
				return errors.Join(err, errors.New("not boom"))
			}
			return nil
		}},
		{"call /missing", func(c *arpc.Client) error {
			if err := c.Call("/missing", "x", nil, patience); arpc.CodeOf(err) != arpc.CodeNotFound {
				return errors.Join(err, errors.New("not not_found"))
			}
			return nil
		}},
		{"notify /note", func(c *arpc.Client) error { return c.Notify("/note", "n1", patience) }},
	}
	h := arpc.NewHandler()
	h.SetLogger(quiet)
	pushed := make(chan string, 1)
	h.Handle("/pushed", func(ctx *arpc.Context) { pushed <- string(ctx.Body()) })
	c, played := dialOriginal(t, func(dial func() (net.Conn, error)) (*arpc.Client, error) {
		return arpc.NewClient(dial, arpc.WithHandler(h), arpc.WithHello(arpc.HelloNever))
	}, func(o original) {
		for _, s := range steps {
			if !o.play(s.label, all[s.label], 0) {
				return
			}
		}
		// A ping is a ping from either side.
		_, _ = o.conn.Write(all["ping"].client[0])
		pong := make([]byte, rawframe.HeaderLen)
		if _, err := io.ReadFull(o.conn, pong); err != nil || !bytes.Equal(pong, all["ping"].server[0]) {
			t.Errorf("pong %x, %v", pong, err)
		}
		_, _ = o.conn.Write(all["server broadcast"].server[0])
	})
	for _, s := range steps {
		if err := s.do(c); err != nil {
			t.Errorf("%s: %v", s.label, err)
		}
	}
	receive(t, pushed, "bcast")
	c.Stop()
	<-c.Done()
	<-played
}

func wantText(want string, err error, got *string) error {
	if err == nil && *got != want {
		err = errors.New("answered " + *got)
	}
	return err
}

// receive takes the text that must come.
func receive(t *testing.T, from <-chan string, want string) {
	t.Helper()
	select {
	case got := <-from:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Errorf("%q did not come", want)
	}
}

// TestAnOriginalHubIsUsed: the same for topics, where the time in a body is free.
func TestAnOriginalHubIsUsed(t *testing.T) {
	const clock = 8
	all := recordings(t)
	published := make(chan struct{})
	heard := make(chan string, 1)
	c, played := dialOriginal(t, func(dial func() (net.Conn, error)) (*pubsub.Client, error) {
		h := arpc.NewHandler()
		h.SetLogger(quiet)
		return pubsub.NewClient(dial, pubsub.WithPassword("123qwe"), pubsub.WithHandler(h),
			pubsub.WithClientOptions(arpc.WithHello(arpc.HelloNever)))
	}, func(o original) {
		ok := o.play("authenticate", all["pubsub authenticate ok"], 0) &&
			o.play("subscribe", all["subscribe news"], clock) &&
			o.play("publish", all["publish news hello"], clock)
		if !ok {
			return
		}
		<-published
		_, _ = o.conn.Write(all["server publish"].server[0])
		o.play("unsubscribe", all["unsubscribe news"], clock)
	})
	s, err := c.Subscribe("news", func(m *pubsub.Message) {
		var text string
		if err := m.Bind(&text); err != nil {
			t.Error(err)
		}
		heard <- m.Topic + ": " + text
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish("news", "hello"); err != nil {
		t.Error(err)
	}
	receive(t, heard, "news: hello")
	close(published)
	receive(t, heard, "news: from server")
	if err := s.Unsubscribe(); err != nil {
		t.Error(err)
	}
	c.Stop()
	<-c.Done()
	<-played
}

// TestAStreamOfAnOriginalIsEnded where nobody takes it, and the connection goes on.
func TestAStreamOfAnOriginalIsEnded(t *testing.T) {
	s := server.New()
	s.Handler.SetLogger(quiet)
	conn := serve(t, s)
	all := recordings(t)
	stream := all["stream open+send+close"]
	if _, err := conn.Write(append(bytes.Join(stream.client, nil), all["ping"].client[0]...)); err != nil {
		t.Fatal(err)
	}
	end := stream.server[len(stream.server)-1]
	want := append(bytes.Clone(end), all["ping"].server[0]...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n got %x\nwant %x", err, got, want)
	}
}
