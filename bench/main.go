// Bench measures arpc beside others: server and load in processes of their own,
// the contenders in turn, several rounds, medians.
//
//	bench run echo|ws|latency|idle|durable|sessions|fanout [-rounds 3] [-seconds 4]
//	bench report
//
// run writes bench/results.json and what report makes of it: docs/benchmarks.md
// and its plots. With -only or -loads it measures less and writes nothing. The
// commands serve, load, hold, publish and subscribe are the processes that run
// starts.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-fbfaa03e/arpc/bench/process"
	"github.com/seed-fbfaa03e/arpc/bench/report"
	"github.com/seed-fbfaa03e/arpc/bench/run"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const usage = `usage: bench run echo|ws|latency|idle|durable|sessions|fanout [flags]
       bench report [-root FOLDER]`

func command(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no command\n%s", usage)
	}
	switch name, args := args[0], args[1:]; name {
	case "run":
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer cancel()
		return run.Main(ctx, args)
	case "report":
		return report.Main(args)
	case "serve":
		return process.Serve(args)
	case "load":
		return process.Load(args)
	case "hold":
		return process.Hold(args)
	case "publish":
		return process.Publish(args)
	case "subscribe":
		return process.Subscribe(args)
	default:
		return fmt.Errorf("no command %q\n%s", name, usage)
	}
}
