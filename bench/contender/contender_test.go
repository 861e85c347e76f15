package contender_test

import (
	"net"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc/bench/contender"
	"github.com/seed-fbfaa03e/arpc/bench/drive"
)

func TestEveryContenderEchoes(t *testing.T) {
	for _, c := range contender.All {
		if c.Serve == nil {
			continue // its server is a program, which the benchmark checks when it runs
		}
		t.Run(c.Name, func(t *testing.T) {
			for _, size := range []int{64, 1024} {
				echo(t, c, target(t, c, size))
			}
		})
	}
}

func target(t *testing.T, c contender.Contender, size int) contender.Target {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() { _ = c.Serve(ln) }() // it ends with the listener
	return contender.Target{
		Context: t.Context(),
		Dialer:  new(net.Dialer),
		Address: ln.Addr().String(),
		Text:    strings.Repeat("x", size),
	}
}

func echo(t *testing.T, c contender.Contender, to contender.Target) {
	if c.Dial != nil {
		caller, err := c.Dial(to)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := caller.Call(); err != nil {
				t.Error(err)
			}
		}
		if err := caller.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	pipe, err := c.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		roundTrip(t, pipe)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
}

func roundTrip(t *testing.T, p drive.Pipe) {
	for _, step := range []func() error{p.Send, p.Send, p.Flush, p.Receive, p.Receive} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range contender.All {
		if seen[c.Name] || c.Name == "" || c.About == "" {
			t.Errorf("contender %q: its name is taken, or something is empty", c.Name)
		}
		seen[c.Name] = true
	}
	if _, err := contender.Named("nobody"); err == nil {
		t.Error("a contender that is not there was found")
	}
}
