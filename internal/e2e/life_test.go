package e2e_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

func TestSignalsEndItInOrder(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			d := startHere(t) // nobody else listens there after it
			page, service := d.connect(t, "websocket"), d.connect(t, "tcp")
			for _, p := range []*peer{page, service} {
				p.call(1, "/echo", "hello")
			}
			d.signal(t, signal)
			var told *closed
			if err := page.end(); !errors.As(err, &told) || told.code != 1001 {
				t.Errorf("the page was told %v, want 1001", err)
			}
			if err := service.end(); !errors.Is(err, io.EOF) {
				t.Errorf("the service saw %v", err)
			}
			if status := d.exit(t); status != 0 {
				t.Errorf("status %d: %s", status, d.stderr.String())
			}
			for _, door := range doors {
				if l, err := d.open(door); err == nil {
					l.Close()
					t.Errorf("%s is open", door)
				}
			}
		})
	}
}

// TestAKilledDemoComesBackOnItsPorts: nothing of the one before stands in the way.
func TestAKilledDemoComesBackOnItsPorts(t *testing.T) {
	d := startHere(t)
	for range 3 {
		var peers []*peer
		for _, door := range doors {
			p := d.connect(t, door)
			p.call(1, "/echo", "before")
			peers = append(peers, p)
		}
		d.signal(t, syscall.SIGKILL)
		d.exit(t)
		for _, p := range peers {
			if p.end() == nil {
				t.Error("the connection outlived the process")
			}
		}
		again := start(t, "-http", d.http, "-tcp", d.tcp)
		if again.http != d.http || again.tcp != d.tcp {
			t.Fatalf("came back on %s and %s, was on %s and %s", again.http, again.tcp, d.http, d.tcp)
		}
		d = again
	}
	for _, door := range doors {
		d.connect(t, door).call(1, "/echo", "after")
	}
}

func TestASecondDemoSaysWhichPortIsTaken(t *testing.T) {
	d := start(t)
	for flag, address := range map[string]string{"-http": d.http, "-tcp": d.tcp} {
		second := launch(t, flag, address)
		second.run(t, func() {})
		if status := second.exit(t); status == 0 {
			t.Errorf("%s %s: status 0", flag, address)
		}
		if text := second.stderr.String(); !strings.Contains(text, flag+" "+address) || !strings.Contains(text, "in use") {
			t.Errorf("%s %s: %q", flag, address, text)
		}
	}
	d.connect(t, "tcp").call(1, "/echo", "the first goes on")
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-no-such-flag"}, {"an argument"}, {"-http", "no address"}} {
		d := launch(t, args...)
		d.run(t, func() {})
		if status := d.exit(t); status == 0 || d.stderr.String() == "" {
			t.Errorf("%q: status %d, %q", args, status, d.stderr.String())
		}
	}
}

// get asks the demo for a page.
func (d *demo) get(t testing.TB, path string) (status int, contentType, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get("http://" + d.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header.Get("Content-Type"), string(all)
}

func TestPages(t *testing.T) {
	d := start(t)
	for path, want := range map[string]struct {
		status      int
		contentType string
		content     string
	}{
		"/":         {http.StatusOK, "text/html", "<script"},
		"/arpc.js":  {http.StatusOK, "text/javascript", "arpc"},
		"/healthz":  {http.StatusOK, "application/json", "ok"},
		"/nowhere":  {http.StatusNotFound, "", ""},
		"/../main":  {http.StatusNotFound, "", ""},
		"/.gitkeep": {http.StatusNotFound, "", ""},
		"/ws":       {http.StatusBadRequest, "", ""}, // it is a door, not a page
	} {
		status, contentType, body := d.get(t, path)
		if status != want.status || !strings.HasPrefix(contentType, want.contentType) || !strings.Contains(body, want.content) {
			t.Errorf("%s: status %d, %s, %.60q", path, status, contentType, body)
		}
	}
}

func TestHealthcheckOfTheBinary(t *testing.T) {
	d := start(t)
	for url, status := range map[string]int{"http://" + d.http + "/healthz": 0, "http://" + d.http + "/nowhere": 1} {
		check := launch(t, "-healthcheck", url)
		check.run(t, func() {})
		if got := check.exit(t); got != status {
			t.Errorf("%s: status %d, want %d: %s", url, got, status, check.stderr.String())
		}
	}
}

func TestPagesOfOtherSitesAreKeptOut(t *testing.T) {
	d := start(t)
	_, port, err := net.SplitHostPort(d.http)
	if err != nil {
		t.Fatal(err)
	}
	for origin, in := range map[string]bool{
		"http://" + d.http:                      true,
		"":                                      true, // not a browser
		"https://evil.example":                  false,
		"http://localhost:1":                    false,
		"http://localhost.evil.example:" + port: false,
		"null":                                  false,
	} {
		w, err := dialWebSocket(d.http, "/ws", origin)
		var no *refused
		switch {
		case err == nil:
			w.Close()
			if !in {
				t.Errorf("origin %q was let in", origin)
			}
		case in || !errors.As(err, &no) || no.status != http.StatusForbidden:
			t.Errorf("origin %q: %v", origin, err)
		}
	}
}
