package report

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func contenderOf(name string, m Metric, values ...float64) Contender {
	c := Contender{Name: name}
	for _, v := range values {
		c.Rounds = append(c.Rounds, Measurement{m: v})
	}
	return c
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got, ok := contenderOf("x", Rate, test.values...).Median(Rate); !ok || got != test.want {
			t.Errorf("median of %v is %v, %v", test.values, got, ok)
		}
	}
	if _, ok := contenderOf("x", Rate, 1).Median(P50); ok {
		t.Error("there is a median of what was not measured")
	}
}

func TestTableLeavesOutWhatNobodyHas(t *testing.T) {
	l := Load{Name: "64 B, 8 × 10", Contenders: []Contender{
		contenderOf("arpc", Rate, 200_000, 220_000, 240_000),
		contenderOf("grpc", Rate, 22_000, 20_000, 24_000),
	}}
	want := "| | calls/s | min–max | × gRPC |\n" +
		"|---|---:|---:|---:|\n" +
		"| arpc | 220,000 | 200,000–240,000 | 10.00 |\n" +
		"| grpc | 22,000 | 20,000–24,000 | 1.00 |\n"
	if got := table("echo", l); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestThePageSaysHowToTakeTheFiguresAgain(t *testing.T) {
	for seconds, want := range map[float64]string{1: "3 rounds of 1 s, `make bench BENCH=ws ROUNDS=3 SECONDS=1`.", 0.5: "3 rounds of 0.5 s, `make bench BENCH=ws ROUNDS=3 SECONDS=0.5`."} {
		text, err := Results{"ws": {Rounds: 3, Seconds: seconds}}.Page()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, want) {
			t.Errorf("not in the page: %s", want)
		}
	}
}

func TestGoalsAreJudgedFromBothSides(t *testing.T) {
	results := func(of, over float64) Results {
		return Results{"b": {Loads: []Load{{Name: "l", Contenders: []Contender{
			contenderOf("a", Rate, of), contenderOf("o", Rate, over),
		}}}}}
	}
	least := goal{benchmark: "b", load: "l", metric: Rate, of: "a", over: "o", atLeast: 2}
	most := goal{benchmark: "b", load: "l", metric: Rate, of: "a", atMost: 5}
	for _, test := range []struct {
		goal     goal
		of, over float64
		want     string
	}{
		{least, 20, 10, "yes"},
		{least, 19, 10, "**no**"},
		{least, 20, 0, "not measured"},
		{most, 5, 1, "yes"},
		{most, 6, 1, "**no**"},
	} {
		if _, got := test.goal.verdict(results(test.of, test.over)); got != test.want {
			t.Errorf("%v over %v: %s, want %s", test.of, test.over, got, test.want)
		}
	}
	for lost, want := range map[float64]string{0: "yes", 1: "**no**"} {
		none := goal{benchmark: "b", load: "l", metric: Lost, of: "a", none: true}
		worst := Results{"b": {Loads: []Load{{Name: "l", Contenders: []Contender{contenderOf("a", Lost, 0, 0, lost)}}}}}
		if _, got := none.verdict(worst); got != want {
			t.Errorf("%v lost in the worst round: %s, want %s", lost, got, want)
		}
	}
	if _, got := least.verdict(Results{}); got != "not measured" {
		t.Errorf("nothing: %s", got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.127: "0.13", 12.34: "12.3", 123.4: "123", 999.4: "999", 999.6: "1,000", 1234567: "1,234,567"} {
		if got := number(v, true); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestResultsSurviveTheirFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	if r, err := Read(path); err != nil || len(r) != 0 {
		t.Fatalf("no file: %v, %v", r, err)
	}
	r := Results{"echo": {Rounds: 1, Loads: []Load{{Name: "l", Contenders: []Contender{contenderOf("a", Rate, math.Pi)}}}}}
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	back, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := back["echo"].Loads[0].median("a", Rate); got != math.Pi {
		t.Errorf("read back %v", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil {
		t.Error("half a file was read")
	}
}

func TestPlotHasABarForEach(t *testing.T) {
	p := plot{title: `a < b & "c"`, benchmark: "b", load: "l", metric: Rate}
	svg, ok := p.draw(Results{"b": {Loads: []Load{{Name: "l", Contenders: []Contender{
		contenderOf("arpc", Rate, 10, 20, 30), contenderOf("other", Rate, 5), contenderOf("absent", P50, 1),
	}}}}})
	if !ok || strings.Count(svg, "<rect") != 2 || strings.Count(svg, "<line") != 1 || strings.Count(svg, "ours\"") != 1 {
		t.Errorf("drawn: %v\n%s", ok, svg)
	}
	if strings.Contains(svg, "a < b") {
		t.Error("the title is not escaped")
	}
	if _, ok := p.draw(Results{}); ok {
		t.Error("nothing was drawn")
	}
}
