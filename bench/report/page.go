package report

import (
	_ "embed"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
)

//go:embed page.md.tmpl
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"goals":    goalTable,
	"named":    func(name string, s Section) measured { return measured{s, name} },
	"table":    table,
	"versions": versions,
	"number":   func(v float64) string { return number(v, true) },
	"plots":    plotsOf,
}).Parse(pageText))

// Where everything is, below the root of the project.
const (
	resultsPath = "bench/results.json"
	pagePath    = "docs/benchmarks.md"
	plotFolder  = "docs/img"
)

// ResultsPath is where the results of a project are.
func ResultsPath(root string) string { return filepath.Join(root, resultsPath) }

// Main makes the page again from the results: report [-root FOLDER].
func Main(args []string) error {
	flags := flag.NewFlagSet("report", flag.ExitOnError)
	root := flags.String("root", ".", "the project's `folder`")
	_ = flags.Parse(args) // it exits instead
	r, err := Read(ResultsPath(*root))
	if err != nil {
		return err
	}
	return r.Publish(*root)
}

// Publish writes the page and its plots.
func (r Results) Publish(root string) error {
	for _, p := range plots {
		svg, ok := p.draw(r)
		if !ok {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, plotFolder, p.file), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	text, err := r.Page()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, pagePath), []byte(text), 0o644)
}

// Page is the page in Markdown.
func (r Results) Page() (string, error) {
	var text strings.Builder
	if err := page.Execute(&text, r); err != nil {
		return "", err
	}
	return text.String(), nil
}

// Table is the tables of a benchmark, each under the name of its load.
func (r Results) Table(benchmark string) string {
	var text strings.Builder
	for _, l := range r[benchmark].Loads {
		fmt.Fprintf(&text, "%s\n\n%s\n", l.Name, table(benchmark, l))
	}
	return text.String()
}

// measured is a section and the benchmark it is of.
type measured struct {
	Section
	benchmark string
}

// Command takes the figures of a section again, as they were taken.
func (m measured) Command() string {
	return fmt.Sprintf("make bench BENCH=%s ROUNDS=%d SECONDS=%v", m.benchmark, m.Rounds, m.Seconds)
}

// plotsOf are the pictures of a benchmark, in Markdown.
func plotsOf(r Results, benchmark string) string {
	var text strings.Builder
	for _, p := range plots {
		if _, ok := p.draw(r); ok && p.benchmark == benchmark {
			fmt.Fprintf(&text, "![%s](img/%s)\n\n", p.title, p.file)
		}
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// versions is a list in the order of names.
func versions(of map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, name+" "+of[name])
	}
	return strings.Join(list, ", ")
}
