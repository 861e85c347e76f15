//go:build unix

package arpc_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// A process that stood still while it was greeted, as those of a laptop that sleeps
// do, does not take the server for one that knows no hello: the answer is there, it
// only was not read.
func TestAProcessThatStoodStillIsGreeted(t *testing.T) {
	const variable = "ARPC_TEST_STANDS_STILL"
	if address := os.Getenv(variable); address != "" {
		c, err := arpc.Dial(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Stop()
		if !c.Capable("cancel") {
			t.Error("a base server, it thinks")
		}
		return
	}
	t.Parallel()
	ln := arpctest.Listen(t)
	greeted := make(chan struct{}, 2)
	far := arpc.NewHandler()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	far.HandleAuthenticate(func(context.Context, arpc.Credentials) (*arpc.Identity, error) {
		greeted <- struct{}{}
		return &arpc.Identity{ID: "it"}, child.Process.Signal(syscall.SIGSTOP)
	})
	child.Env = append(os.Environ(), variable+"=tcp://"+ln.Addr().String())
	var output bytes.Buffer
	child.Stdout, child.Stderr = &output, &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- child.Wait()
		ln.Close() // if it did not dial
	}()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatalf("%v; the child: %v\n%s", err, <-ended, output.String())
	}
	server := far.ServeConn(nc, arpc.Accepted{})
	arpctest.Receive(t, greeted, "hello")
	<-time.After(6 * time.Second) // longer than it waits for the answer
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the child: %v\n%s", err, output.String())
	}
	arpctest.Closed(t, server.Done(), "server's end")
}
