package arpc_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

// documents are all there are, so that none is forgotten here.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "web/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		paths = append(paths, found...)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// fenced returns the blocks of a language in a document.
func fenced(t *testing.T, path, language string) (blocks []string) {
	t.Helper()
	for _, block := range fence.FindAllStringSubmatch(read(t, path), -1) {
		if block[1] == language {
			blocks = append(blocks, block[2])
		}
	}
	return blocks
}

// squeeze makes texts equal that differ only in whitespace.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// Programs in the documents compile, and every other piece of Go there is part of
// an example that runs, or of the demo.
func TestGoInDocumentsIsReal(t *testing.T) {
	real := realGo(t)
	found := 0
	for _, path := range documents(t) {
		for i, block := range fenced(t, path, "go") {
			found++
			if strings.HasPrefix(block, "package main") {
				t.Run(fmt.Sprint("program ", i), func(t *testing.T) { compiles(t, block) })
			} else if !strings.Contains(real, squeeze(block)) {
				t.Errorf("%s: in no example:\n%s", path, block)
			}
		}
	}
	if found < 20 {
		t.Errorf("found only %d blocks of Go", found)
	}
}

// Who looks for something is told of every folder.
func TestContributingNamesEveryFolder(t *testing.T) {
	text := read(t, "CONTRIBUTING.md")
	fetched := map[string]bool{"node_modules": true, "bin": true, "coverage": true}
	for _, parent := range []string{".", "internal"} {
		entries, err := os.ReadDir(parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			path := filepath.ToSlash(filepath.Join(parent, entry.Name()))
			if !entry.IsDir() || entry.Name()[0] == '.' || fetched[path] {
				continue
			}
			if !strings.Contains(text, "`"+path+"/") && (parent == "." || !strings.Contains(text, "`"+entry.Name()+"`")) {
				t.Errorf("CONTRIBUTING.md does not name %s", path)
			}
		}
	}
}

// What the migration guide calls ours exists, and every example it names runs.
func TestMigrationNamesExamplesThatRun(t *testing.T) {
	text := read(t, "docs/migration.md")
	source := read(t, "migration_example_test.go") + read(t, "example_test.go") + read(t, "session_example_test.go") + read(t, "coder_example_test.go")
	named := submatches(text, "`(Example\\w+)`")
	if len(named) < 10 {
		t.Errorf("found only %v", named)
	}
	for _, name := range named {
		if !strings.Contains(source, "func "+name+"()") {
			t.Errorf("no example %s", name)
		}
	}
}

func compiles(t *testing.T, program string) {
	formatted, err := format.Source([]byte(program))
	if err != nil {
		t.Fatal(err)
	}
	if string(formatted) != program {
		t.Errorf("gofmt would make it\n%s", formatted)
	}
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "vet", path).CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}

// realGo is the text of all examples that have an output, and of the demo.
func realGo(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*example_test.go", "*/*example_test.go", "*/*/*example_test.go", "web/chat-demo/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
		}
		for _, path := range paths {
			for _, body := range bodies(t, path) {
				all.WriteString(squeeze(body) + "\n")
			}
		}
	}
	return all.String()
}

// bodies are the functions in a file; in a file of examples, those that run.
func bodies(t *testing.T, path string) (all []string) {
	t.Helper()
	source := read(t, path)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	isExamples := strings.HasSuffix(path, "example_test.go")
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		body := source[files.Position(f.Body.Lbrace).Offset+1 : files.Position(f.Body.Rbrace).Offset]
		if !isExamples || strings.HasPrefix(f.Name.Name, "Example") && strings.Contains(body, "// Output:") {
			all = append(all, body)
		}
	}
	return all
}

// The frames in the protocol are recorded ones: every kind that there is of the
// base protocol, and all of the extended one.
func TestProtocolFramesAreRecorded(t *testing.T) {
	kind := func(frame string) string { return frame[10:14] } // cmd and flags
	recorded, kinds, ours := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, f := range recordedFrames(t, "wire/testdata/vectors.tsv") {
		recorded[f.hex], kinds[kind(f.hex)] = true, true
	}
	for _, f := range append(recordedFrames(t, recordedPath), recordedFrames(t, "wire/testdata/topics.tsv")...) {
		recorded[f.hex], ours[f.hex] = true, f.what
	}
	for _, block := range fenced(t, "docs/protocol.md", "hex") {
		for line := range strings.Lines(block) {
			frame := strings.TrimSpace(line)
			if !recorded[frame] {
				t.Errorf("not recorded: %s", frame)
				continue
			}
			delete(kinds, kind(frame))
			delete(ours, frame)
		}
	}
	if len(kinds) != 0 {
		t.Errorf("kinds of frame (cmd, flags) that are not shown: %v", kinds)
	}
	for frame, what := range ours {
		t.Errorf("not shown: %s, %s", what, frame)
	}
}

var hexBytes = regexp.MustCompile(`^((?:[0-9a-f]{2} )+) `)

// The bytes that are explained one by one are those of the last frame above them.
func TestProtocolExplainsEveryByte(t *testing.T) {
	text := read(t, "docs/protocol.md")
	explained := 0
	var last string
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		switch block[1] {
		case "hex":
			last = lastFrame(block[2])
			continue
		case "json":
			continue
		}
		var frame strings.Builder
		for line := range strings.Lines(block[2]) {
			if bytes := hexBytes.FindStringSubmatch(line); bytes != nil {
				frame.WriteString(strings.ReplaceAll(bytes[1], " ", ""))
			}
		}
		explained++
		if frame.String() != last {
			t.Errorf("explained %s\nshown     %s", frame.String(), last)
		}
	}
	if explained < 3 {
		t.Errorf("%d frames explained", explained)
	}
}

func lastFrame(block string) string {
	frames := strings.Fields(block)
	return frames[len(frames)-1]
}

// JSON is the body of the last frame above it.
func TestProtocolJSONIsInTheFrame(t *testing.T) {
	compared := 0
	var last string
	for _, block := range fence.FindAllStringSubmatch(read(t, "docs/protocol.md"), -1) {
		if block[1] == "hex" {
			last = lastFrame(block[2])
		}
		if block[1] != "json" {
			continue
		}
		compared++
		var shown bytes.Buffer
		if err := json.Compact(&shown, []byte(block[2])); err != nil {
			t.Errorf("%v in %s", err, block[2])
		}
		if body := string(split(t, last).Body); shown.String() != body {
			t.Errorf("shown %s\nsent  %s", shown.String(), body)
		}
	}
	if compared < 5 {
		t.Errorf("%d bodies compared", compared)
	}
}

// Every word that Go and TypeScript share is in the protocol.
func TestProtocolNamesReasonsAndCodes(t *testing.T) {
	text := read(t, "docs/protocol.md")
	var codes []string
	if err := json.Unmarshal([]byte(read(t, "wire/testdata/codes.json")), &codes); err != nil {
		t.Fatal(err)
	}
	words := map[string][]string{
		"codes":                 codes,
		"reasons in Go":         submatches(read(t, "wire/error.go"), `Reason = "(\w+)"`),
		"reasons in TypeScript": submatches(read(t, "web/arpc-js/src/wire.ts"), `(?m)^  \| "(\w+)"`),
	}
	for what, all := range words {
		if len(all) < 7 {
			t.Errorf("%s: found only %v", what, all)
		}
		for _, word := range all {
			if !strings.Contains(text, "`"+word+"`") {
				t.Errorf("%s: %q is missing", what, word)
			}
		}
	}
}

func submatches(text, pattern string) (all []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// The table of limits has the defaults of the code, in both languages.
func TestLimitsAreThoseOfTheCode(t *testing.T) {
	rows := map[string]string{}
	for line := range strings.Lines(read(t, "docs/limits.md")) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 {
			continue
		}
		for _, name := range cells[2:4] {
			rows[strings.Trim(name, " `")] = strings.TrimSpace(cells[4])
		}
	}
	expect := func(name, value string) {
		if row, ok := rows[name]; !ok || row != value && !strings.HasPrefix(row, value+" ") && !strings.HasPrefix(row, value+",") {
			t.Errorf("%s: the table has %q, the code %s", name, row, value)
		}
	}
	for prefix, of := range map[string]any{"Limits.": arpc.DefaultLimits(), "Backoff.": arpc.DefaultBackoff()} {
		v := reflect.ValueOf(of)
		for i := range v.NumField() {
			expect(prefix+v.Type().Field(i).Name, limit(v.Field(i).Interface()))
		}
	}
	found := 0
	sources, err := filepath.Glob("web/arpc-js/src/*.ts")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		options := regexp.MustCompile(`@default ([\d_]+) \*/\s+readonly (\w+)\?`)
		for _, m := range options.FindAllStringSubmatch(read(t, path), -1) {
			found++
			value, err := strconv.Atoi(strings.ReplaceAll(m[1], "_", ""))
			if err != nil {
				t.Fatal(err)
			}
			expect(m[2], thousands(value))
		}
	}
	if found < 10 {
		t.Errorf("found only %d options of arpc-js", found)
	}
}

// limit is a default as the table writes it.
func limit(v any) string {
	if d, ok := v.(time.Duration); ok && d%time.Second == 0 {
		return fmt.Sprintf("%d s", d/time.Second)
	} else if ok {
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return thousands(v.(int))
}

func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

var link = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)

// Links lead to files that exist, and to headings in them.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, path := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if m[2] != "" && !hasHeading(read(t, target), m[2]) {
				t.Errorf("%s: %s has no heading %s", path, target, m[2])
			}
		}
	}
}

var notInAnchors = regexp.MustCompile(`[^\w\- ]`)

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		title := strings.TrimLeft(line, "#")
		if len(title) == len(line) {
			continue
		}
		name := notInAnchors.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
		if "#"+strings.ReplaceAll(name, " ", "-") == anchor {
			return true
		}
	}
	return false
}
