// Package layers holds the rule of which package may import which. It has no
// code for others: its test reads the imports of the whole module and fails
// where one points the wrong way.
package layers

import (
	"fmt"
	"slices"
	"strings"
)

const module = "github.com/seed-fbfaa03e/arpc"

const (
	gorilla = "github.com/gorilla/websocket"
	gin     = "github.com/gin-gonic/gin"
	rate    = "golang.org/x/time"
	bbolt   = "go.etcd.io/bbolt"

	messagePack = "github.com/vmihailenco/msgpack/v5"
	cbor        = "github.com/fxamacker/cbor/v2"
	protobuf    = "google.golang.org/protobuf"
	prometheus  = "github.com/prometheus/client_golang"
	otel        = "go.opentelemetry.io/otel"
)

// prometheusPulls is what comes along with Prometheus.
var prometheusPulls = []string{
	"github.com/beorn7/perks", "github.com/cespare/xxhash", "github.com/munnerz/goautoneg",
	"github.com/prometheus/client_model", "github.com/prometheus/common", "github.com/prometheus/procfs",
	"golang.org/x/sys", protobuf,
}

// A room is a folder of the module with everything below it, up to a deeper
// room. Imports point from a higher layer to a lower one, never sideways:
// two rooms of one layer do not know each other.
type room struct {
	path  string // folder below the module's root, "." is the root package alone
	layer int
	names []string // third-party modules its files may import
	pulls []string // third-party modules that may come along with what it imports
	leaf  bool     // a program: nothing imports it, so what comes along is its own affair
}

// rooms is the house, from the ground up. A package below none of these has no
// place yet: give it one here, on the lowest layer it can live on.
var rooms = []room{
	{path: "internal/blocks", layer: -1},
	{path: "internal/quiet", layer: -1},

	{path: "wire", layer: 0},
	{path: "codec", layer: 0},
	{path: "topic", layer: 0},
	{path: "ws", layer: 0, names: []string{gorilla}},

	{path: "codec/msgpack", layer: 1, names: []string{messagePack}, pulls: []string{"github.com/vmihailenco/tagparser/v2"}},
	{path: "codec/cbor", layer: 1, names: []string{cbor}, pulls: []string{"github.com/x448/float16"}},
	{path: "codec/protobuf", layer: 1, names: []string{protobuf}},

	{path: ".", layer: 1, pulls: []string{gorilla}},

	{path: "internal/feed", layer: 2, pulls: []string{gorilla}},
	{path: "pool", layer: 2, pulls: []string{gorilla}},

	{path: "coder", layer: 3, pulls: []string{gorilla}},
	{path: "middleware", layer: 3, names: []string{rate}, pulls: []string{gorilla}},
	{path: "middleware/metrics", layer: 4, names: []string{prometheus}, pulls: append([]string{gorilla}, prometheusPulls...)},
	{path: "middleware/otel", layer: 4, names: []string{otel}, pulls: []string{gorilla, "github.com/cespare/xxhash"}},
	{path: "server", layer: 3, pulls: []string{gorilla}},
	{path: "pubsub/broker", layer: 3, pulls: []string{gorilla}},
	{path: "pubsub/checker", layer: 3},

	{path: "pubsub", layer: 4, pulls: []string{gorilla}},
	{path: "pubsub/bolt", layer: 4, names: []string{bbolt}, pulls: []string{gorilla, "golang.org/x/sys"}},

	{path: "cmd", layer: 5, leaf: true},
	{path: "web/chat-demo", layer: 5, names: []string{gin, rate}, leaf: true},

	// Test support: it may look at everything, and only tests may look at it.
	{path: "internal/arpctest", layer: 5, leaf: true},
	{path: "internal/child", layer: 5, leaf: true},
	{path: "internal/codectest", layer: 6, leaf: true},
	{path: "internal/e2e", layer: 6, leaf: true},
	{path: "pubsub/brokertest", layer: 6, leaf: true},
	{path: "internal/layers", layer: 6, leaf: true},
	{path: "internal/rawframe", layer: 6, leaf: true},
	{path: "internal/scenarios", layer: 6, leaf: true},
	{path: "internal/mixed", layer: 6, leaf: true},
	{path: "internal/cuts", layer: 6, leaf: true},
	{path: "internal/sessions", layer: 6, leaf: true},
	{path: "internal/witness", layer: 6, leaf: true},
	{path: "arpctest", layer: 6, leaf: true},
}

// testOnly are the third-party modules any package's tests may import.
var testOnly = []string{"github.com/coder/websocket", "go.uber.org/goleak", "pgregory.net/rapid"}

// A pkg is what the rule needs to know of one package of the module, in the
// names of `go list -json`.
type pkg struct {
	ImportPath   string
	Imports      []string // direct, without tests
	Deps         []string // transitive, without tests
	TestImports  []string
	XTestImports []string
}

// violations says in whole sentences what is wrong with the imports of p.
func violations(p pkg) []string {
	home, ok := roomOf(p.ImportPath)
	if !ok {
		return []string{fmt.Sprintf("%s has no layer: add its folder to rooms in internal/layers/layers.go", p.ImportPath)}
	}
	var found []string
	complain := func(format string, args ...any) {
		found = append(found, p.ImportPath+" "+fmt.Sprintf(format, args...))
	}
	for _, path := range p.Imports {
		switch {
		case ours(path):
			if why := home.refuses(path); why != "" {
				complain("imports %s, %s", path, why)
			}
		case !standard(path) && !within(path, home.names):
			complain("imports %s, which %q may not name", path, home.path)
		}
	}
	for _, path := range p.Deps {
		if !home.leaf && !ours(path) && !standard(path) && !within(path, home.names, home.pulls) {
			complain("pulls in %s, which %q may not", path, home.path)
		}
	}
	for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
		if !ours(path) && !standard(path) && !within(path, home.names, home.pulls, testOnly) {
			complain("imports %s in its tests, which %q may not name", path, home.path)
		}
	}
	return found
}

// refuses says why a package of r must not import path, or "" when it may.
func (r room) refuses(path string) string {
	other, ok := roomOf(path)
	switch {
	case !ok:
		return "which has no layer"
	case other.path == r.path:
		return ""
	case other.layer == r.layer:
		return fmt.Sprintf("but %q and %q are on one layer", r.path, other.path)
	case other.layer > r.layer:
		return fmt.Sprintf("but %q is above %q", other.path, r.path)
	default:
		return ""
	}
}

// roomOf finds the deepest room that path lies in.
func roomOf(path string) (room, bool) {
	folder := "."
	if path != module {
		folder = strings.TrimPrefix(path, module+"/")
	}
	best, found := room{}, false
	for _, r := range rooms {
		if below(folder, r.path) && len(r.path) >= len(best.path) {
			best, found = r, true
		}
	}
	return best, found
}

func ours(path string) bool { return below(path, module) }

// standard knows the standard library by the rule the go command reserves for
// it: no dot in the first element. cgo's "C" is not part of it.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return path != "C" && !strings.Contains(first, ".")
}

func within(path string, lists ...[]string) bool {
	return slices.ContainsFunc(slices.Concat(lists...), func(m string) bool { return below(path, m) })
}

// below reports whether path is parent or lies in it.
func below(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}
