package arpc_test

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/wire"
)

var record = flag.Bool("record", false, "write "+recordedPath+" anew from what the peers send")

// recordedPath has the frames of our own extensions. docs/protocol.md shows
// them, and peers in other languages are tested with them.
const recordedPath = "wire/testdata/extended.tsv"

// recordedFrame is a frame that one of our peers sent to another.
type recordedFrame struct{ what, direction, hex string }

// recorder writes down the frames that pass a connection while a name is set.
type recorder struct {
	mu      sync.Mutex
	what    string
	all     []recordedFrame
	tickets tickets
}

func (r *recorder) begin(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.what = what
}

func (r *recorder) add(direction string, frame []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	frame = r.tickets.named(frame) // also of frames that are not written down: they are shown again
	if r.what != "" {
		r.all = append(r.all, recordedFrame{r.what, direction, hex.EncodeToString(frame)})
	}
}

// tap is a connection of a client with a recorder beside it.
type tap struct {
	net.Conn
	sent, received tapDirection
	lossy          atomic.Bool // what arrives is lost
}

type tapDirection struct {
	r         *recorder
	direction string
	d         *wire.Decoder
}

func newTap(c net.Conn, r *recorder) *tap {
	return &tap{
		Conn:     c,
		sent:     tapDirection{r, "c->s", wire.NewDecoder(wire.MaxBody)},
		received: tapDirection{r, "s->c", wire.NewDecoder(wire.MaxBody)},
	}
}

func (t *tap) Write(b []byte) (int, error) {
	t.sent.take(b)
	return t.Conn.Write(b)
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	for err == nil && t.lossy.Load() {
		n, err = t.Conn.Read(b)
	}
	t.received.take(b[:n])
	return n, err
}

func (t *tapDirection) take(b []byte) {
	for len(b) > 0 {
		n := copy(t.d.Buffer(), b)
		t.d.Advance(n)
		b = b[n:]
		for f, ok, err := t.d.Next(); ok || err != nil; f, ok, err = t.d.Next() {
			if err != nil {
				t.r.add(t.direction, []byte(err.Error()))
				return
			}
			t.r.add(t.direction, f.Raw)
		}
	}
}

// recording is a server and a client whose frames are written down. In the
// bubble that it runs in, time is exact and nothing else happens.
type recording struct {
	*recorder
	t      *testing.T
	client *arpc.Client
	server *arpc.Client // the client's peer, as the server holds it

	far   *arpc.Handler // who answers the next dial of a client that has a session
	dials chan struct{} // as many as it may make
	tap   *tap          // its newest connection
}

const recordedToken = "ann's token"

func recordedGuard(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
	if !strings.HasPrefix(cr.Token, recordedToken) {
		return nil, errors.New("not one of ours")
	}
	return &arpc.Identity{ID: "ann", Expires: time.Now().Add(time.Hour)}, nil
}

func recordedServer() *arpc.Handler {
	h := arpc.NewHandler()
	h.SetLogger(discard)
	h.SetLimits(arpc.Limits{Grace: -1}) // what is shown of sessions has steps of its own
	h.Handle("/echo", echo)
	h.Handle("/fail", func(ctx *arpc.Context) {
		_ = ctx.Error(&arpc.Error{Code: arpc.CodeOutOfRange, Message: "too far", Data: []byte(`{"max":7}`)})
	})
	h.Handle("/wait", func(ctx *arpc.Context) {
		<-ctx.Done()
		_ = ctx.Error(context.Cause(ctx))
	})
	h.HandleStream("/chat", echoStream)
	h.HandleStream("/count", func(s *arpc.Stream) {
		_ = s.Send("one")
		_ = s.Fail(arpc.Errorf(arpc.CodeOutOfRange, "only one"))
	})
	h.HandleStream("/idle", func(s *arpc.Stream) { <-s.Context().Done() })
	return h
}

// greetAs connects and says hello.
func (r *recording) greetAs(far *arpc.Handler, opts ...arpc.ClientOption) error {
	near := arpc.NewHandler()
	near.SetLogger(discard)
	near.SetLimits(far.Limits())
	client, err := arpc.NewClient(func() (net.Conn, error) {
		a, b := net.Pipe()
		r.server = far.ServeConn(b, arpc.Accepted{})
		return newTap(a, r.recorder), nil
	}, append(opts, arpc.WithHandler(near))...)
	r.client = client
	synctest.Wait()
	return err
}

// step is what leads to one kind of exchange, on a connection of its own.
type step struct {
	what string
	do   func(r *recording)
}

func (r *recording) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Error(err)
	}
}

func (r *recording) mustEnd(code arpc.Code, err error) {
	r.t.Helper()
	if arpc.CodeOf(err) != code {
		r.t.Errorf("%v, want %s", err, code)
	}
}

// openAnd connects before anything is written down, with a window so small that
// it is used up soon.
func openAnd(do func(r *recording)) func(*recording) {
	return func(r *recording) {
		what := r.what
		r.begin("")
		far := recordedServer()
		far.SetLimits(arpc.Limits{Window: 16, Grace: -1})
		r.must(r.greetAs(far))
		r.begin(what)
		do(r)
	}
}

var steps = []step{
	{"hello", func(r *recording) { r.must(r.greetAs(recordedServer())) }},
	{"hello with token", func(r *recording) {
		far := recordedServer()
		far.HandleAuthenticate(recordedGuard)
		r.must(r.greetAs(far, withToken(recordedToken)))
	}},
	{"hello refused", func(r *recording) {
		far := recordedServer()
		far.HandleAuthenticate(recordedGuard)
		r.mustEnd(arpc.CodeUnauthenticated, r.greetAs(far, withToken("no")))
	}},
	{"token", func(r *recording) {
		far := recordedServer()
		far.HandleAuthenticate(recordedGuard)
		what := r.what
		r.begin("")
		r.must(r.greetAs(far, withToken(recordedToken)))
		r.begin(what)
		r.must(r.client.RefreshToken(r.t.Context(), recordedToken+" 2"))
	}},
	{"call with kind", openAnd(func(r *recording) { r.must(r.client.Call("/echo", "hi", nil, time.Second)) })},
	{"notify with kind", openAnd(func(r *recording) { r.must(r.client.Notify("/note", map[string]int{"a": 1}, time.Second)) })},
	{"structured error", openAnd(func(r *recording) {
		r.mustEnd(arpc.CodeOutOfRange, r.client.Call("/fail", []byte("x"), nil, time.Second))
	})},
	{"cancel", openAnd(func(r *recording) {
		r.mustEnd(arpc.CodeDeadlineExceeded, r.client.Call("/wait", nil, nil, time.Second))
	})},
	{"stream", openAnd(func(r *recording) {
		s := r.client.NewStream("/chat")
		r.must(s.Send("hi"))
		r.must(s.Recv(nil))
		r.must(s.SendAndClose("bye"))
		r.must(s.Recv(nil))
		synctest.Wait()
	})},
	{"credit", openAnd(func(r *recording) {
		s := r.client.NewStream("/chat")
		r.must(s.Send("12345678"))
		r.must(s.Recv(nil))
		synctest.Wait()
		r.begin("")
		r.must(s.CloseSend())
	})},
	{"stream that fails", openAnd(func(r *recording) {
		s := r.client.NewStream("/count")
		r.must(s.CloseSend())
		r.must(s.Recv(nil))
		r.mustEnd(arpc.CodeOutOfRange, s.Recv(nil))
	})},
	{"stream canceled", openAnd(func(r *recording) {
		s := r.client.NewStream("/idle")
		r.must(s.Send("x"))
		synctest.Wait()
		s.Close()
	})},
	{"stream of no method", openAnd(func(r *recording) {
		s := r.client.NewStream("/missing")
		r.must(s.CloseSend())
		r.mustEnd(arpc.CodeNotFound, s.Recv(nil))
	})},
	{"goaway", openAnd(func(r *recording) {
		ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
		defer cancel()
		r.must(r.server.Drain(ctx))
		r.begin("")
	})},
}

func recordSteps(t *testing.T) (all []recordedFrame) {
	for _, s := range slices.Concat(steps, sessionSteps) {
		synctest.Test(t, func(t *testing.T) {
			r := &recording{recorder: &recorder{what: s.what}, t: t}
			s.do(r)
			synctest.Wait()
			r.begin("")
			if r.dials != nil {
				close(r.dials)
			}
			if r.client != nil {
				r.client.Stop()
				<-r.client.Done()
			}
			r.server.Stop()
			<-r.server.Done()
			if r.dials != nil {
				time.Sleep(2 * time.Minute) // sessions that still wait are over then
			}
			if len(r.all) == 0 {
				t.Errorf("%s: nothing recorded", s.what)
			}
			all = append(all, r.all...)
		})
	}
	return all
}

// What our peers send is what is recorded, but for what is random: the time that
// goaway asks a client to stay away, and tickets.
func TestOurPeersSendWhatIsRecorded(t *testing.T) {
	got := recordSteps(t)
	if *record {
		writeRecorded(t, got)
	}
	for _, direction := range []string{"c->s", "s->c"} { // the two are independent of each other
		want, got := ofDirection(recordedFrames(t, recordedPath), direction), ofDirection(got, direction)
		if len(want) != len(got) {
			t.Fatalf("%s: %d frames, recorded %d", direction, len(got), len(want))
		}
		for i := range got {
			if got[i].what != want[i].what || withoutDelay(t, got[i].hex) != withoutDelay(t, want[i].hex) {
				t.Errorf("%s %s: sent\n%s\nrecorded %s\n%s", direction, got[i].what, got[i].hex, want[i].what, want[i].hex)
			}
		}
	}
}

func writeRecorded(t *testing.T, all []recordedFrame) {
	t.Helper()
	var lines strings.Builder
	for _, f := range all {
		lines.WriteString(f.what + "\t" + f.direction + "\t" + f.hex + "\n")
	}
	if err := os.WriteFile(recordedPath, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func recordedFrames(t *testing.T, path string) (all []recordedFrame) {
	t.Helper()
	for line := range strings.Lines(read(t, path)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			t.Fatalf("%s: %d fields in %q", path, len(fields), line)
		}
		all = append(all, recordedFrame{fields[0], fields[1], fields[2]})
	}
	return all
}

func ofDirection(all []recordedFrame, direction string) (some []recordedFrame) {
	for _, f := range all {
		if f.direction == direction {
			some = append(some, f)
		}
	}
	return some
}

// split takes a frame in hex apart.
func split(t *testing.T, frame string) wire.Frame {
	t.Helper()
	raw, err := hex.DecodeString(frame)
	if err != nil {
		t.Fatal(err)
	}
	f, err := wire.Split(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var delayOfGoaway = regexp.MustCompile(`"delay":\d{1,3},`)

// withoutDelay is a frame, with the delay taken out of a goaway.
func withoutDelay(t *testing.T, frame string) string {
	t.Helper()
	f := split(t, frame)
	if string(f.Method) != "arpc.goaway" {
		return frame
	}
	body := delayOfGoaway.ReplaceAll(f.Body, []byte(`"delay":0,`))
	return hex.EncodeToString(wire.Append(nil, f.Header, string(f.Method), body))
}
