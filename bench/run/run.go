// Package run starts servers and loads, measures both from outside, and keeps
// the results.
package run

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/report"
)

// settings are the flags of a run.
type settings struct {
	root            string
	rounds          int
	seconds, warmup float64
	only, loads     string
	profile         bool
}

// Main measures a benchmark: run NAME [flags].
func Main(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("run what? There are echo, ws, latency, idle, durable and fanout")
	}
	b, err := benchmarkNamed(args[0])
	if err != nil {
		return err
	}
	s := parse(args[1:])
	if s.rounds < 1 || s.seconds <= 0 || s.warmup <= 0 {
		return errors.New("rounds, seconds and warmup must be above zero")
	}
	if b, err = s.narrow(b); err != nil {
		return err
	}
	if err := install(ctx, s.root, b); err != nil {
		return err
	}
	section, err := s.measureAll(ctx, b)
	if err != nil {
		return err
	}
	return s.keep(b, section)
}

func parse(args []string) settings {
	var s settings
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	flags.StringVar(&s.root, "root", ".", "the project's `folder`")
	flags.IntVar(&s.rounds, "rounds", 3, "how often each contender is measured under each load")
	flags.Float64Var(&s.seconds, "seconds", 4, "how long a measurement takes")
	flags.Float64Var(&s.warmup, "warmup", 1, "`seconds` of calls before it that do not count")
	flags.StringVar(&s.only, "only", "", "measure only contenders that match this `pattern`, and write nothing")
	flags.StringVar(&s.loads, "loads", "", "measure only loads that match this `pattern`, and write nothing")
	flags.BoolVar(&s.profile, "profile", false, "leave CPU profiles of the servers and loads in Go in bench/results, and write nothing else")
	_ = flags.Parse(args) // it exits instead
	return s
}

func (s settings) narrow(b benchmark) (benchmark, error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return b, err
	}
	loads, err := regexp.Compile(s.loads)
	if err != nil {
		return b, err
	}
	return b.narrow(loads.MatchString, only.MatchString)
}

// measureAll measures everyone in turn, round after round, load after load.
func (s settings) measureAll(ctx context.Context, b benchmark) (report.Section, error) {
	m, err := s.meter()
	if err != nil {
		return report.Section{}, err
	}
	p := newProgress(os.Stderr, s.rounds*b.measurements())
	section := report.Section{
		Taken: time.Now().UTC().Format(time.DateOnly), Rounds: s.rounds, Seconds: s.seconds,
		Machine: thisMachine(),
	}
	for _, l := range b.loads {
		measured, err := s.measureLoad(ctx, m, b, l, p)
		if err != nil {
			return section, err
		}
		section.Loads = append(section.Loads, measured)
	}
	section.Versions = versionsOf(m.versions)
	return section, nil
}

func (s settings) measureLoad(ctx context.Context, m meter, b benchmark, l load, p *progress) (report.Load, error) {
	measured := report.Load{Name: l.name}
	everyone := make([]party, 0, len(b.under(l)))
	for _, name := range b.under(l) {
		who, err := l.party(name)
		if err != nil {
			return measured, err
		}
		everyone = append(everyone, who)
		measured.Contenders = append(measured.Contenders, report.Contender{Name: who.name, About: who.about})
	}
	for round := range s.rounds {
		for i, who := range everyone {
			result, err := m.measure(ctx, who, l)
			if ctx.Err() != nil { // whatever else failed did because of that
				return measured, errors.New("interrupted, nothing was written")
			}
			if err != nil {
				return measured, fmt.Errorf("%s, %s: %w", l.name, who.name, err)
			}
			measured.Contenders[i].Rounds = append(measured.Contenders[i].Rounds, result)
			p.tell(l, who.name, round+1, s.rounds, result)
		}
	}
	return measured, nil
}

func (s settings) meter() (meter, error) {
	self, err := os.Executable()
	if err != nil {
		return meter{}, err
	}
	m := meter{
		programs: programs{self: self, root: s.root},
		warmup:   s.warmup, seconds: s.seconds,
		versions: map[string]string{},
	}
	if s.profile {
		m.profiles = filepath.Join(s.root, "bench/results")
		err = os.MkdirAll(m.profiles, 0o755)
	}
	return m, err
}

// keep prints the tables, and writes them into the project if all was measured.
func (s settings) keep(b benchmark, section report.Section) error {
	fmt.Print(report.Results{b.name: section}.Table(b.name))
	if s.only != "" || s.loads != "" || s.profile {
		return nil
	}
	path := report.ResultsPath(s.root)
	all, err := report.Read(path)
	if err != nil {
		return err
	}
	all[b.name] = section
	if err := all.Write(path); err != nil {
		return err
	}
	return all.Publish(s.root)
}
