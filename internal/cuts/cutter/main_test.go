package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started runs the program in front of a server that answers with what it hears.
func started(t *testing.T) (address, commands string) {
	t.Helper()
	listener := arpctest.Listen(t)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	in, end := io.Pipe()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(listener.Addr().String(), in, out) }()
	lines := bufio.NewScanner(said)
	for _, line := range []*string{&address, &commands} {
		if !lines.Scan() {
			t.Fatal("it says nothing")
		}
		*line = lines.Text()
	}
	t.Cleanup(func() {
		end.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		listener.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return address, commands
}

func order(t *testing.T, commands, command string) (stats struct{ Connections, Cuts int }) {
	t.Helper()
	answer, err := http.Post("http://"+commands+command, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&stats); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", command, answer.StatusCode, err)
	}
	return stats
}

// heard sends ten bytes through, and returns how many come back before the end or,
// if all do, before it hangs up; the connection stays for meanwhile.
func heard(t *testing.T, address string, meanwhile func()) int {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write(make([]byte, 10)) // it may be cut
	n, err := io.ReadFull(c, make([]byte, 10))
	if err == nil && meanwhile != nil {
		meanwhile()
		if more, _ := io.Copy(io.Discard, c); more != 0 {
			t.Errorf("%d bytes more", more)
		}
	}
	return n
}

func TestCommands(t *testing.T) {
	address, commands := started(t)
	if n := heard(t, address, func() { order(t, commands, "/cut") }); n != 10 {
		t.Errorf("%d bytes came back", n)
	}
	order(t, commands, "/next?down=3")
	if n := heard(t, address, nil); n != 3 {
		t.Errorf("cut after 3 bytes, %d came back", n)
	}
	order(t, commands, "/down")
	if n := heard(t, address, nil); n != 0 {
		t.Errorf("down, and %d bytes came back", n)
	}
	order(t, commands, "/up")
	if n := heard(t, address, func() { order(t, commands, "/cut?reset=1") }); n != 10 {
		t.Errorf("up again, and %d bytes came back", n)
	}
	if stats := order(t, commands, "/up"); stats.Cuts != 1 {
		t.Errorf("%d cuts at a byte, want 1", stats.Cuts)
	}
	answer, err := http.Post("http://"+commands+"/next?up=far", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a cut at no number: status %d", answer.StatusCode)
	}
}
