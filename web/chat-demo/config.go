package main

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// config is what the command line says.
type config struct {
	httpAddr    string
	tcpAddr     string
	password    string
	rate        int
	data        string
	ping        time.Duration
	proxies     []netip.Prefix
	healthcheck string
}

// parseFlags reads the command line. What is wrong with it, and the usage, is
// written to stderr.
func parseFlags(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("chat-demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.httpAddr, "http", "localhost:8080", "`address` of the page and its WebSocket; port 0 takes a free one")
	flags.StringVar(&cfg.tcpAddr, "tcp", "localhost:8888", "`address` of the raw TCP door; port 0 takes a free one")
	flags.StringVar(&cfg.password, "password", "", "`password` of the topics; without one they are open to everybody")
	flags.StringVar(&cfg.data, "data", "", "`directory` that keeps what is said; without one it is forgotten when the demo ends")
	flags.IntVar(&cfg.rate, "rate", 20, "`requests` a second that the chat takes from one connection, at least 1")
	flags.DurationVar(&cfg.ping, "ping", arpc.DefaultLimits().Ping, "`time` after which a silent connection is pinged; less than what a proxy in front waits")
	flags.Func("proxy", "`network` of a proxy in front, such as 127.0.0.1/32: it is believed whom it speaks for; may be repeated", func(s string) error {
		p, err := netip.ParsePrefix(s)
		cfg.proxies = append(cfg.proxies, p)
		return err
	})
	flags.StringVar(&cfg.healthcheck, "healthcheck", "", "get this `URL` of a running demo and exit with 0 if it is well, else 1")
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.rate < 1:
		err = fmt.Errorf("-rate %d: want at least 1", cfg.rate)
	case cfg.ping <= 0:
		err = fmt.Errorf("-ping %v: want more than nothing", cfg.ping)
	}
	if err != nil {
		fmt.Fprintln(stderr, "chat-demo:", err)
		flags.Usage()
		return config{}, err
	}
	return cfg, nil
}
