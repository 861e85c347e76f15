package run

import (
	"maps"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/seed-fbfaa03e/arpc/bench/report"
)

// thisMachine describes where the benchmark runs; what cannot be read is "".
func thisMachine() report.Machine {
	system, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	memory, _ := os.ReadFile("/proc/meminfo")
	kib, _ := field(string(memory), "MemTotal:")
	return report.Machine{
		CPU:    modelOf(string(cpu)),
		Cores:  runtime.NumCPU(),
		Memory: rounded(float64(kib) / (1 << 20)),
		System: "Linux " + strings.TrimSpace(string(system)),
	}
}

func modelOf(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// compared are the modules whose versions matter, by what they are called.
var compared = map[string]string{
	"google.golang.org/grpc":       "gRPC-Go",
	"github.com/gorilla/websocket": "gorilla/websocket",
	"github.com/olahol/melody":     "melody",
	"github.com/redis/go-redis/v9": "go-redis",
	"go.etcd.io/bbolt":             "bbolt",
}

// versionsOf are what this program was built from, and what the programs that
// were started said of themselves.
func versionsOf(said map[string]string) map[string]string {
	all := maps.Clone(said)
	all["Go"] = strings.TrimPrefix(runtime.Version(), "go")
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return all
	}
	for _, m := range info.Deps {
		if name, ok := compared[m.Path]; ok {
			all[name] = strings.TrimPrefix(m.Version, "v")
		}
	}
	if revision := revisionOf(info.Settings); revision != "" {
		all[path.Base(path.Dir(info.Main.Path))] = revision
	}
	return all
}

// revisionOf is the commit that was measured, with a + where files had changed.
func revisionOf(settings []debug.BuildSetting) string {
	var revision, changed string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + changed
}
