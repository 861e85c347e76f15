package arpc_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"testing/synctest"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// tickets gives names to tickets, which are random: as long as they are, the same
// for the same ticket, and counted in the order in which they are shown.
type tickets struct{ sessions, secrets []string }

var anyTicket = regexp.MustCompile(`"ticket":"([\w-]{22})\.([\w-]{43})"`)

// named is a frame with such names in it.
func (t *tickets) named(frame []byte) []byte {
	return anyTicket.ReplaceAllFunc(frame, func(found []byte) []byte {
		parts := anyTicket.FindSubmatch(found)
		session, secret := number(&t.sessions, string(parts[1])), number(&t.secrets, string(parts[2]))
		return fmt.Appendf(nil, `"ticket":"session-%014d.ticket-%036d"`, session, secret)
	})
}

// number is which of all that were seen something is, from 1.
func number(seen *[]string, what string) int {
	at := slices.Index(*seen, what)
	if at < 0 {
		at = len(*seen)
		*seen = append(*seen, what)
	}
	return at + 1
}

// lastingServer is a server that keeps sessions.
func lastingServer() *arpc.Handler {
	h := recordedServer()
	h.SetLimits(arpc.Limits{})
	return h
}

// dial waits until a connection may be made.
func (r *recording) dial() (net.Conn, error) {
	if _, may := <-r.dials; !may {
		return nil, net.ErrClosed
	}
	a, b := net.Pipe()
	r.server = r.far.ServeConn(b, arpc.Accepted{})
	r.tap = newTap(a, r.recorder)
	return r.tap, nil
}

// hold begins a session.
func (r *recording) hold(far *arpc.Handler, opts ...arpc.ClientOption) {
	near := arpc.NewHandler()
	near.SetLogger(discard)
	r.far, r.dials = far, make(chan struct{}, 1)
	r.dials <- struct{}{}
	client, err := arpc.NewClient(r.dial, append(opts, arpc.WithHandler(near))...)
	r.must(err)
	r.client = client
	synctest.Wait()
}

// cut ends the connection as a network does.
func (r *recording) cut() {
	r.must(r.tap.Close())
	synctest.Wait()
}

// redial lets the client make its next connection.
func (r *recording) redial() {
	r.dials <- struct{}{}
	time.Sleep(2 * time.Second) // it waits before that
	synctest.Wait()
}

// afterCut has a session whose connection is lost behind what before does, and
// writes down how the client comes back.
func afterCut(far func() *arpc.Handler, before func(r *recording), opts ...arpc.ClientOption) func(*recording) {
	return func(r *recording) {
		what := r.what
		r.begin("")
		r.hold(far(), opts...)
		before(r)
		r.cut()
		r.begin(what)
		r.redial()
	}
}

// sessionSteps are what there is of sessions, and each of their ends.
var sessionSteps = []step{
	{"session begins", func(r *recording) { r.hold(lastingServer()) }},
	{"session resumed", func(r *recording) {
		what := r.what
		r.begin("")
		r.hold(lastingServer())
		r.must(r.client.Call("/echo", "hi", nil, time.Second))
		server := r.server
		r.cut()
		r.must(server.Notify("/note", "meanwhile", time.Second))
		r.begin(what)
		r.redial()
		time.Sleep(2 * time.Second) // the note is confirmed
	}},
	{"session expired", afterCut(lastingServer, func(r *recording) {
		r.cut()
		time.Sleep(time.Minute)
	})},
	{"session unknown", afterCut(lastingServer, func(r *recording) { r.far = lastingServer() })},
	{"session with a gap", afterCut(shortServer, func(r *recording) {
		r.tap.lossy.Store(true)
		r.must(r.server.Notify("/note", "longer than what is kept", time.Second))
		synctest.Wait()
	})},
	{"session of another identity", func(r *recording) {
		who := "ann"
		far := lastingServer()
		far.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
			return &arpc.Identity{ID: cr.Token}, nil
		})
		afterCut(func() *arpc.Handler { return far }, func(*recording) { who = "bob" },
			withTokens(func() string { return who }))(r)
	}},
	{"session with another hello", afterCut(lastingServer, func(r *recording) {
		extra := arpc.Extension{Capability: "extra"}
		r.far.Extend(extra)
		r.client.Handler.Extend(extra)
	})},
	{"session that is busy", func(r *recording) {
		release := make(chan struct{})
		far := lastingServer()
		far.Handle("/busy", func(*arpc.Context) { <-release }, arpc.Inline)
		afterCut(func() *arpc.Handler { return far }, func(r *recording) {
			r.must(r.client.Notify("/busy", nil, time.Second))
			synctest.Wait()
		})(r)
		time.Sleep(4 * time.Second)
		r.begin("")
		close(release)
	}},
	{"session ends", func(r *recording) {
		what := r.what
		r.begin("")
		r.hold(lastingServer())
		r.begin(what)
		r.client.Stop()
		<-r.client.Done()
	}},
}

// shortServer keeps hardly anything to send it again.
func shortServer() *arpc.Handler {
	h := lastingServer()
	h.SetLimits(arpc.Limits{Journal: 32})
	return h
}

func withTokens(token func() string) arpc.ClientOption {
	return arpc.WithToken(func(context.Context) (string, error) { return token(), nil })
}
