package sessions_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
)

// TestShutdownOfParked: a server that ends waits for nobody to come back, not even
// for those who leave while it waits for what they asked.
func TestShutdownOfParked(t *testing.T) {
	d := open(t, arpc.Limits{Grace: time.Hour}, false)
	parked, leaving := d.begin(t, "", ""), d.begin(t, "", "")
	park(t, parked)
	leaving.write(request(1, "/wait", "a"))
	arpctest.Eventually(t, "the request runs", func() bool { return d.runs("a") == 1 })
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), arpctest.Wait)
		defer cancel()
		ended <- d.Shutdown(ctx)
	}()
	if f := leaving.read(); f.Method != "arpc.goaway" {
		t.Errorf("it was told %+v", f)
	}
	leaving.Close()
	arpctest.Eventually(t, "the server knows", func() bool { return leaving.client.State() != arpc.StateOpen })
	d.release()
	if err := arpctest.Receive(t, ended, "the end of the server"); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if d.ended.Load() != 2 {
		t.Errorf("%d sessions ended", d.ended.Load())
	}
}

// TestRoomForParked: there is only so much, and the oldest of the same identity
// makes way first.
func TestRoomForParked(t *testing.T) {
	type arrival struct{ who, from string }
	for name, c := range map[string]struct {
		limits arpc.Limits
		come   []arrival
		left   string // + for each that is there at the end
	}{
		"of one identity": {
			arpc.Limits{ParkedPerIdentity: 2},
			[]arrival{{"bob", ""}, {"alice", ""}, {"alice", ""}, {"alice", ""}},
			"+-++",
		},
		"of one address": {
			arpc.Limits{ParkedPerAddress: 2},
			[]arrival{{"a", "127.0.0.3"}, {"b", "127.0.0.2"}, {"c", "127.0.0.2"}, {"d", "127.0.0.2"}},
			"+-++",
		},
		"in all, of one's own": {
			arpc.Limits{Parked: 3},
			[]arrival{{"bob", ""}, {"alice", ""}, {"carol", ""}, {"alice", ""}},
			"+-++",
		},
		"in all": {
			arpc.Limits{Parked: 3},
			[]arrival{{"bob", ""}, {"alice", ""}, {"carol", ""}, {"dave", ""}},
			"-+++",
		},
		"enough": {
			arpc.Limits{Parked: 4, ParkedPerIdentity: 2, ParkedPerAddress: 4},
			[]arrival{{"bob", ""}, {"alice", ""}, {"bob", ""}, {"alice", ""}},
			"++++",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, c.limits, true)
			var parked []*session
			for _, a := range c.come {
				s := d.begin(t, a.who, a.from)
				park(t, s)
				parked = append(parked, s)
			}
			arpctest.Eventually(t, "so many ended", func() bool { return int(d.ended.Load()) == strings.Count(c.left, "-") })
			for i, s := range parked {
				_, w := d.ask(t, c.come[i].who, s.ticket, 0)
				if want := c.left[i] == '+'; w.resumed() != want {
					t.Errorf("%d, %s: %v", i, c.come[i].who, w)
				}
			}
		})
	}
}

// TestStorm: all clients lose their connections at once, with a call under way, and
// all come back.
func TestStorm(t *testing.T) {
	clients := arpctest.Scaled(2000)
	d := open(t, arpc.Limits{ParkedPerAddress: 4096}, false)
	proxy := cuts.Start(t, cuts.Config{Server: d.address})
	answered := make(chan error, clients)
	var lost atomic.Int64
	for i := range clients {
		h := arpc.NewHandler()
		h.HandleDisconnected(func(*arpc.Client, error) { lost.Add(1) })
		dial := func() (net.Conn, error) { return net.Dial("tcp", proxy.Address) }
		c, err := arpc.NewClient(dial, arpc.WithHandler(h), arpc.WithBackoff(arpc.Backoff{First: 10 * time.Millisecond, Max: time.Second}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { c.Stop(); <-c.Done() }()
		go func() { answered <- c.Call("/wait", fmt.Sprint(i), nil, 10*arpctest.Wait) }()
	}
	arpctest.Eventually(t, "all calls run", func() bool { return d.Stats().Requests == clients })
	for range clients {
		arpctest.Receive(t, d.clients, "session").OnDisconnected(func(*arpc.Client) { lost.Add(1) })
	}
	began := time.Now()
	if n := proxy.CutAll(true); n != clients {
		t.Errorf("%d connections were cut, want %d", n, clients)
	}
	for d.resumed.Load() < int64(clients) && time.Since(began) < 10*arpctest.Wait {
		time.Sleep(time.Millisecond)
	}
	if n := d.resumed.Load(); n != int64(clients) {
		t.Errorf("%d of %d came back", n, clients)
	}
	arpctest.Figure(t, "storm_sessions", clients)
	arpctest.Figure(t, "storm_seconds", time.Since(began).Seconds())
	d.release()
	for range clients {
		if err := arpctest.Receive(t, answered, "an answer"); err != nil {
			t.Error(err)
		}
	}
	for i := range clients {
		if n := d.runs(fmt.Sprint(i)); n != 1 {
			t.Errorf("request %d ran %d times", i, n)
		}
	}
	if n := lost.Load(); n != 0 {
		t.Errorf("%d sessions were lost", n)
	}
}
