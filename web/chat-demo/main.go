// Command chat-demo is a chat in the browser and the smallest complete arpc
// server around it: one binary with the page inside, two doors, one set of
// topics. What a page publishes over its WebSocket reaches a service on raw
// TCP, and the other way round. With -data what is said is kept, so that the
// demo can be killed and started again.
//
//	chat-demo -http localhost:8080 -tcp localhost:8888 -data .data
//
// It ends in order on SIGINT and SIGTERM, and at once on a second one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// The statuses the process exits with.
const (
	exitOK = iota
	exitFailure
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the default holds again: the second one kills.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: it serves until ctx is done and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	if cfg.healthcheck != "" {
		err = healthcheck(ctx, cfg.healthcheck)
	} else {
		slog.SetDefault(slog.New(slog.NewTextHandler(stderr, nil)))
		err = serve(ctx, cfg, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "chat-demo:", err)
		return exitFailure
	}
	return exitOK
}
