package sessions_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/child"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// far is a server in another process.
type far struct {
	*child.Process
	t *testing.T
	told
}

func startFar(t *testing.T, grace time.Duration) *far {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	c := &far{Process: child.Start(t, cmd), t: t}
	c.ask(grace.String())
	return c
}

// ask has the child say how it is.
func (c *far) ask(line string) told {
	c.t.Helper()
	c.Tell(c.t, line)
	if err := json.Unmarshal([]byte(c.Line(c.t)), &c.told); err != nil {
		c.t.Fatalf("the child says: %v", err)
	}
	return c.told
}

// await asks until something holds.
func (c *far) await(what string, limit time.Duration, holds func(told) bool) {
	c.t.Helper()
	for end := time.Now().Add(limit); !holds(c.ask("")); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%s: not within %v, %+v", what, limit, c.told)
		}
	}
}

// resident is the child's resident memory in bytes, as the system has it.
func (c *far) resident() int {
	c.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Pid))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				c.t.Fatal(err)
			}
			return kib << 10
		}
	}
	c.t.Fatal("no VmRSS in /proc")
	return 0
}

// visit has n peers connect, make a call each, and lose their connections, some at
// a time. They come from as many addresses as the limits want.
func (c *far) visit(n int, caps []string) {
	c.t.Helper()
	const together = 16
	perAddress := arpc.DefaultLimits().ParkedPerAddress
	var all sync.WaitGroup
	for k := range together {
		all.Go(func() {
			for i := k; i < n; i += together {
				if err := c.visitOnce(i/perAddress, caps); err != nil {
					c.t.Errorf("visitor %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func (c *far) visitOnce(from int, caps []string) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+from))}, Timeout: arpctest.Wait}
	conn, err := d.Dial("tcp", c.Address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(arpctest.Wait)); err != nil {
		return err
	}
	p := &peer{Conn: conn, t: c.t}
	if _, err := p.tryGreet(greeting{Caps: caps}); err != nil {
		return err
	}
	if err := p.tryWrite(rawframe.Frame{Cmd: rawframe.CmdConfirm}, request(1, "/run", "a")); err != nil {
		return err
	}
	_, err = p.tryRead()
	return err
}

// TestParkedMemory: what a session costs that waits for its client with an answer
// that was not confirmed, and that nothing is left of any after the grace period.
func TestParkedMemory(t *testing.T) {
	sessions, grace := arpctest.Scaled(10_000), 10*time.Second // all come within it
	if arpctest.Whole {
		grace = time.Minute
	}
	c := startFar(t, grace)
	c.visit(sessions, caps[:len(caps)-1]) // so that what the first ones need is there
	c.await("those without sessions are gone", time.Minute, func(s told) bool { return s.Clients == 0 })
	before, goroutines := c.resident(), c.Goroutines
	began := time.Now()
	c.visit(sessions, caps)
	c.await("all are parked", grace, func(s told) bool { return s.Parked == sessions })
	each := (c.resident() - before) / sessions
	arpctest.Figure(t, "parked_sessions", sessions)
	arpctest.Figure(t, "parked_bytes_each", each)
	arpctest.Figure(t, "parked_seconds", time.Since(began).Seconds())
	if c.Goroutines > goroutines+sessions/10 {
		t.Errorf("%d goroutines, %d before", c.Goroutines, goroutines)
	}
	if each > mostParked {
		t.Errorf("a parked session costs %d bytes", each)
	}
	c.await("nothing is left", grace+time.Minute, func(s told) bool { return s.Clients == 0 && s.Goroutines <= goroutines })
	arpctest.Figure(t, "parked_bytes_left_each", (c.resident()-before)/sessions)
}
