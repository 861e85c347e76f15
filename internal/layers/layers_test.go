package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestImportsPointDownwards(t *testing.T) {
	packages := list(t)
	for _, p := range packages {
		for _, v := range violations(p) {
			t.Error(v)
		}
	}
	// A listing that missed the code would pass in silence.
	for _, want := range []string{module + "/wire", module + "/internal/layers"} {
		if !slices.ContainsFunc(packages, func(p pkg) bool { return p.ImportPath == want }) {
			t.Errorf("go list does not know %s", want)
		}
	}
}

// TestRule shows that the rule refuses what it should: each case but the ones
// with an empty want is an import that must never get in.
func TestRule(t *testing.T) {
	const std = "encoding/json"
	at := func(path string) string { return module + "/" + path }
	tests := map[string]struct {
		pkg  pkg
		want string // a part of the only complaint; "" for none
	}{
		"downwards":            {pkg{ImportPath: module, Imports: []string{at("wire"), std}}, ""},
		"two layers down":      {pkg{ImportPath: at("pubsub"), Imports: []string{module, at("topic")}}, ""},
		"within a room":        {pkg{ImportPath: at("codec/msgpack"), Imports: []string{at("codec")}}, ""},
		"upwards":              {pkg{ImportPath: at("wire"), Imports: []string{module}}, `"." is above "wire"`},
		"server to pubsub":     {pkg{ImportPath: at("server"), Imports: []string{at("pubsub")}}, `"pubsub" is above "server"`},
		"sideways":             {pkg{ImportPath: at("topic"), Imports: []string{at("wire")}}, "on one layer"},
		"a program":            {pkg{ImportPath: at("pubsub"), Imports: []string{at("web/chat-demo")}}, "is above"},
		"test support":         {pkg{ImportPath: at("server"), Imports: []string{at("internal/arpctest")}}, "is above"},
		"no layer":             {pkg{ImportPath: at("attic")}, "has no layer: add its folder"},
		"import of no layer":   {pkg{ImportPath: module, Imports: []string{at("attic")}}, "which has no layer"},
		"a name's prefix":      {pkg{ImportPath: at("wirepool")}, "has no layer"},
		"gorilla in ws":        {pkg{ImportPath: at("ws"), Imports: []string{gorilla}, Deps: []string{gorilla}}, ""},
		"gorilla through ws":   {pkg{ImportPath: at("server"), Deps: []string{gorilla}}, ""},
		"gorilla by name":      {pkg{ImportPath: at("server"), Imports: []string{gorilla}}, `"server" may not name`},
		"gorilla in wire":      {pkg{ImportPath: at("wire"), Deps: []string{gorilla}}, `"wire" may not`},
		"gin in the demo":      {pkg{ImportPath: at("web/chat-demo"), Imports: []string{gin}, Deps: []string{gin, "golang.org/x/net/http2"}}, ""},
		"bbolt in its broker":  {pkg{ImportPath: at("pubsub/bolt"), Imports: []string{bbolt}, Deps: []string{bbolt}}, ""},
		"bbolt in the hub":     {pkg{ImportPath: at("pubsub"), Deps: []string{bbolt}}, "pulls in " + bbolt},
		"gin in the server":    {pkg{ImportPath: at("server"), Deps: []string{gin}}, "pulls in " + gin},
		"a module's prefix":    {pkg{ImportPath: at("ws"), Imports: []string{gorilla + "x"}}, "may not name"},
		"x is not standard":    {pkg{ImportPath: at("topic"), Imports: []string{"golang.org/x/sys/unix"}}, "may not name"},
		"cgo":                  {pkg{ImportPath: at("wire"), Imports: []string{"C"}}, "imports C"},
		"goleak in tests":      {pkg{ImportPath: at("server"), XTestImports: []string{"go.uber.org/goleak"}}, ""},
		"goleak in the code":   {pkg{ImportPath: at("server"), Imports: []string{"go.uber.org/goleak"}}, "may not name"},
		"an assertion package": {pkg{ImportPath: at("wire"), TestImports: []string{"github.com/stretchr/testify"}}, "in its tests"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := violations(tt.pkg)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("refused: %q", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("got %q, want one complaint with %q", got, tt.want)
			}
		})
	}
}

// list asks the go command for every package of the module. It takes -e because
// a package that does not compile is the compiler's to report.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %v: %s", cmd, err, failed.Stderr)
		}
		t.Fatalf("%v: %v", cmd, err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("decode the answer of go list: %v", err)
		}
		packages = append(packages, p)
	}
}
