// Package process is what runs in the processes of a measurement: a server that
// echoes or publishes, a load, subscribers, connections that are held open.
// Package run starts them.
package process

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"

	"github.com/seed-fbfaa03e/arpc/bench/contender"
	"github.com/seed-fbfaa03e/arpc/bench/control"
)

// Serve echoes on a port of its own until standard input ends: serve [-profile
// FILE] CONTENDER.
func Serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	profile := flags.String("profile", "", "write a CPU profile to this `file`")
	_ = flags.Parse(args) // it exits instead
	c, err := contender.Named(flags.Arg(0))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop, err := startProfile(*profile)
	if err != nil {
		return err
	}
	ready := control.Ready{Address: ln.Addr().String()}
	if c.Versions != nil {
		ready.Versions = c.Versions()
	}
	go func() {
		fmt.Fprintln(os.Stderr, "bench: serve:", c.Serve(ln)) // it returns only if it cannot go on
		os.Exit(1)
	}()
	if err := control.Obey(os.Stdin, os.Stdout, ready, tell); err != nil {
		return err
	}
	return stop()
}

// tell counts what was allocated, after a collection if it is asked to.
func tell(c control.Command) (any, error) {
	if c.Do == control.Collect {
		runtime.GC() // what pools hold goes with the second, which is in FreeOSMemory
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return control.Counts{Allocations: &m.Mallocs}, nil
}

func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
