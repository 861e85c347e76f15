package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/server"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// listener is a client that hears what is broadcast.
func (h *house) listener(t testing.TB, door string) <-chan string {
	t.Helper()
	heard := make(chan string, 2000)
	handler := arpc.NewHandler()
	handler.Handle("/news", func(ctx *arpc.Context) {
		var text string
		if err := ctx.Bind(&text); err != nil {
			t.Error(err)
		}
		heard <- text
	})
	c := dialWith(t, h.address(door), handler)
	mustEcho(t, c) // now the server knows it
	return heard
}

func TestBroadcastReachesBothDoors(t *testing.T) {
	h := open(t, nil)
	var all []<-chan string
	for _, door := range []string{"tcp", "websocket", "tcp", "websocket"} {
		all = append(all, h.listener(t, door))
	}
	for i := range 500 {
		if err := h.Broadcast("/news", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for who, heard := range all {
		for i := range 500 {
			if got := arpctest.Receive(t, heard, "broadcast"); got != fmt.Sprint(i) {
				t.Fatalf("client %d heard %q, want %d", who, got, i)
			}
		}
	}
}

func TestBroadcastWithFilterReachesThoseItKeeps(t *testing.T) {
	h := open(t, nil)
	pages, services := h.listener(t, "websocket"), h.listener(t, "tcp")
	asked := 0
	err := h.BroadcastWithFilter("/news", "for pages", func(c *arpc.Client) bool {
		asked++
		return c.Request() != nil
	})
	if err != nil || asked != 2 {
		t.Errorf("asked for %d clients, %v", asked, err)
	}
	if err := h.Broadcast("/news", "for all"); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"for pages", "for all"} {
		if got := arpctest.Receive(t, pages, want); got != want {
			t.Errorf("pages heard %q, want %q", got, want)
		}
	}
	if got := arpctest.Receive(t, services, "for all"); got != "for all" {
		t.Errorf("services heard %q", got)
	}
}

func TestWhatCannotBeBroadcast(t *testing.T) {
	s := server.New()
	for name, err := range map[string]error{
		"no method":   s.Broadcast("", "x"),
		"long method": s.Broadcast(strings.Repeat("m", 128), "x"),
		"no value":    s.Broadcast("/news", make(chan int)),
	} {
		if arpc.CodeOf(err) != arpc.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Broadcast("/news", "to nobody"); err != nil {
		t.Error(err)
	}
}

// TestASlowClientHoldsUpNobody: it misses what its queue has no room for, and
// what it gets is in order.
func TestASlowClientHoldsUpNobody(t *testing.T) {
	const broadcasts = 300
	eachDoor(t, limits(arpc.Limits{SendFrames: 16, Write: time.Hour}), func(t *testing.T, h *house, door string) {
		p := h.knock(t, door)
		p.send(t, request(1, "/echo", ""))
		p.until(t, wire.Response)
		heard := h.listener(t, door)
		body := strings.Repeat("x", 100_000)
		for i := range broadcasts { // 30 MB: more than sockets hold
			want := fmt.Sprint(i, " ", body)
			if err := h.Broadcast("/news", want); err != nil {
				t.Fatal(err)
			}
			if got := arpctest.Receive(t, heard, "broadcast"); got != want {
				t.Fatalf("heard %.10q, want %d", got, i)
			}
		}
		caughtUp := make(chan []int, 1)
		go func() { caughtUp <- p.hearUntil(t, "/last") }()
		var got []int
		arpctest.Eventually(t, "the slow client", func() bool {
			if err := h.Broadcast("/last", nil); err != nil {
				t.Error(err)
			}
			select {
			case got = <-caughtUp:
				return true
			default:
				return false
			}
		})
		if len(got) == 0 || len(got) == broadcasts || !slices.IsSorted(got) {
			t.Errorf("the slow client got %d of %d: %v", len(got), broadcasts, got)
		}
	})
}

// hearUntil reads numbered broadcasts up to one with another method.
func (p *peer) hearUntil(t *testing.T, method string) (numbers []int) {
	for {
		f, err := p.next()
		if err != nil {
			t.Error(err)
			return numbers
		}
		if string(f.Method) == method {
			return numbers
		}
		number, _, _ := strings.Cut(string(f.Body), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Error(err)
		}
		numbers = append(numbers, n)
	}
}

// TestWhoSaidWhereItIsKeepsThatPlace, whether or not there was a broadcast before:
// each entry comes once.
func TestWhoSaidWhereItIsKeepsThatPlace(t *testing.T) {
	for _, before := range []int{0, 1} {
		h := open(t, nil)
		broadcast := func() {
			if err := h.Broadcast("/news", "x"); err != nil {
				t.Fatal(err)
			}
		}
		for range before {
			broadcast()
		}
		p := h.knock(t, "tcp")
		p.send(t, request(1, "arpc.hello", `{"arpc":1,"caps":["topics"],"coders":[],"codec":"json","window":0,"topics":[{"topic":""}]}`))
		if f := p.until(t, wire.Response); !strings.Contains(string(f.Body), `"topics":[{"topic":"",`) {
			t.Fatalf("hello was answered with %s", f.Body)
		}
		late := h.knock(t, "tcp")
		late.send(t, request(1, "/echo", "x")) // now the server knows it
		late.until(t, wire.Response)
		for want := before + 1; want <= before+20; want++ {
			broadcast()
			for _, who := range []*peer{p, late} {
				if f := who.until(t, wire.Notify); f.Seq != uint64(want) {
					t.Fatalf("%d broadcasts before: got number %d, want %d", before, f.Seq, want)
				}
			}
		}
	}
}
