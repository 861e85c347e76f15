package sessions_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/server"
)

// told is what a child says of itself.
type told struct {
	Address    string
	Clients    int
	Parked     int
	Goroutines int
}

// serve is the server in a process of its own: it says where it listens, and for
// each line that it reads how it is, after it gave back what memory it does not use.
// The first line is how long it keeps sessions.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Scan()
	grace, err := time.ParseDuration(lines.Text())
	if err != nil {
		return fmt.Errorf("read the grace period: %w", err)
	}
	s := server.New()
	s.Handler.SetLimits(arpc.Limits{Grace: grace})
	s.Handler.Handle("/run", func(ctx *arpc.Context) { _ = ctx.Write("ran") }) // a lost session is seen otherwise
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	go func() { _ = s.Serve(listener) }() // until the process ends
	say := json.NewEncoder(out)
	for {
		parked := 0
		s.ForEach(func(c *arpc.Client) {
			if c.State() == arpc.StateWaiting {
				parked++
			}
		})
		debug.FreeOSMemory()
		err := say.Encode(told{Address: listener.Addr().String(), Clients: len(s.Clients()), Parked: parked, Goroutines: runtime.NumGoroutine()})
		if err != nil || !lines.Scan() {
			return err
		}
	}
}
