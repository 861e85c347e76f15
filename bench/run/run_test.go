package run

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/bench/contender"
	"github.com/seed-fbfaa03e/arpc/bench/report"
)

func TestCPUIsReadBehindAnyName(t *testing.T) {
	const fields = " S 1 2 3 4 5 6 7 8 9 10 250 50 0 0"
	for _, name := range []string{"(bench)", "(a) b (c)"} {
		if got, err := cpuOf("42 " + name + fields); err != nil || got != 3*time.Second {
			t.Errorf("%s: %v, %v, want 3 s", name, got, err)
		}
	}
	if _, err := cpuOf("42 (bench) S 1"); err == nil {
		t.Error("a short stat was read")
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after, err := usageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.since(before); used.reads == 0 {
		t.Errorf("reading /proc is not among the reads: %+v", used)
	}
	if resident, err := residentOf(os.Getpid()); err != nil || resident < 1<<20 {
		t.Errorf("resident: %d bytes, %v", resident, err)
	}
}

// Every contender of the plan exists and can do what its loads ask.
func TestPlanCanBeMeasured(t *testing.T) {
	for _, b := range benchmarks {
		for _, l := range b.loads {
			for _, name := range b.under(l) {
				if l.fansOut() {
					if _, err := l.party(name); err != nil {
						t.Error(err)
					}
					continue
				}
				c, err := contender.Named(name)
				switch {
				case err != nil:
					t.Error(err)
				case c.Serve == nil && c.Server == nil:
					t.Errorf("%s: %s has no server", b.name, name)
				case l.rate > 0 && (c.Dial == nil || c.Load != nil):
					t.Errorf("%s: %s makes no calls at a rate", b.name, name)
				case l.idle && c.Dial == nil && c.Open == nil:
					t.Errorf("%s: %s cannot be held", b.name, name)
				}
			}
		}
	}
}

// Goals and plots name loads and contenders; a full run has them all.
func TestEveryGoalAndPlotIsMeasured(t *testing.T) {
	all := report.Results{}
	for _, b := range benchmarks {
		all[b.name] = everythingOf(b)
	}
	text, err := all.Page()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "not measured") {
		t.Errorf("a goal is not measured:\n%s", text)
	}
	if got := strings.Count(text, "!["); got != report.PlotCount() {
		t.Errorf("%d of %d plots have something to show", got, report.PlotCount())
	}
}

// everythingOf is a section in which every metric is 1.
func everythingOf(b benchmark) report.Section {
	s := report.Section{Rounds: 1, Seconds: 1}
	for _, l := range b.loads {
		measured := report.Load{Name: l.name}
		for _, name := range b.under(l) {
			m := report.Measurement{
				report.Rate: 1, report.P50: 1, report.P99: 1, report.P999: 1, report.ServerCPU: 1, report.ClientCPU: 1,
				report.Reads: 1, report.Writes: 1, report.Syscalls: 1, report.Allocations: 1, report.Resident: 1, report.Collected: 1, report.Opened: 1,
				report.Lost: 1,
			}
			measured.Contenders = append(measured.Contenders, report.Contender{Name: name, Rounds: []report.Measurement{m}})
		}
		s.Loads = append(s.Loads, measured)
	}
	return s
}

func TestNarrowKeepsWhatMatches(t *testing.T) {
	b, err := benchmarkNamed("echo")
	if err != nil {
		t.Fatal(err)
	}
	all := b.measurements()
	s := settings{only: "^(grpc|ping-pong)$", loads: "1 × 1"}
	narrow, err := s.narrow(b)
	if err != nil || narrow.measurements() != 4 {
		t.Errorf("%d measurements, %v, want 2 contenders under 2 loads", narrow.measurements(), err)
	}
	if b.measurements() != all {
		t.Error("the plan itself was narrowed")
	}
	for _, s := range []settings{{only: "nobody"}, {loads: "nothing"}, {only: "("}} {
		if _, err := s.narrow(b); err == nil {
			t.Errorf("%+v measures nothing, and no error says so", s)
		}
	}
}

func TestModelOfTheProcessor(t *testing.T) {
	if got := modelOf("processor\t: 0\nmodel name\t: Fast\n"); got != "Fast" {
		t.Errorf("model is %q", got)
	}
}

func TestRevisionSaysWhenFilesHadChanged(t *testing.T) {
	built := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	for settings, want := range map[int]string{0: "", 1: "0123456789ab", 2: "0123456789ab+"} {
		if got := revisionOf(built[:settings]); got != want {
			t.Errorf("%v: %q, want %q", built[:settings], got, want)
		}
	}
}
