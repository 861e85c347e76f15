package metrics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/middleware/metrics"
	"github.com/seed-fbfaa03e/arpc/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sourceFunc is where connections are counted.
type sourceFunc func() arpc.Stats

func (f sourceFunc) Stats() arpc.Stats { return f() }

// expect waits until the metrics have these lines.
func expect(t *testing.T, m *metrics.Metrics, lines ...string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	page := func() string {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		return w.Body.String()
	}
	defer func() {
		if t.Failed() {
			t.Log(page())
		}
	}()
	for _, line := range lines {
		arpctest.Eventually(t, line, func() bool { return strings.Contains("\n"+page(), "\n"+line+"\n") })
	}
}

func TestCallsAreCounted(t *testing.T) {
	h := arpc.NewHandler()
	m := metrics.New(h)
	h.Handle("/good", func(ctx *arpc.Context) { _ = ctx.Write(nil) })
	h.Handle("/bad", func(ctx *arpc.Context) { _ = ctx.Error(&arpc.Error{Code: arpc.Code(ctx.Body())}) })
	h.Handle("/note", func(*arpc.Context) {})
	c, _ := arpctest.Transports[1].Connect(t, arpc.NewHandler(), h)
	call := func(method, body string) { _ = c.Call(method, body, nil, arpctest.Wait) }
	call("/good", "")
	call("/good", "")
	call("/bad", "aborted")
	call("/bad", "made_up_1")
	call("/bad", "made_up_2")
	for i := range 100 {
		call(fmt.Sprint("/none", i), "")
	}
	if err := c.Notify("/note", nil, arpctest.Wait); err != nil {
		t.Fatal(err)
	}
	expect(t, m,
		`arpc_calls_total{code="ok",method="/good"} 2`,
		`arpc_calls_total{code="aborted",method="/bad"} 1`,
		`arpc_calls_total{code="unknown",method="/bad"} 2`,
		`arpc_calls_total{code="not_found",method="other"} 100`,
		`arpc_notifies_total{method="/note"} 1`,
		`arpc_call_seconds_count{method="/good"} 2`,
	)
}

func TestConnectionsAreCountedOnceWithAReason(t *testing.T) {
	h := arpc.NewHandler()
	m := metrics.New(h)
	h.HandleAuthenticate(func(_ context.Context, cr arpc.Credentials) (*arpc.Identity, error) {
		if cr.Token == "ann's" {
			return &arpc.Identity{ID: "ann"}, nil
		}
		return nil, arpc.ErrUnauthenticated
	})
	h.SetLogger(discard)
	near, far := net.Pipe()
	stranger := h.ServeConn(far, arpc.Accepted{})
	near.Close()
	arpctest.Closed(t, stranger.Done(), "stranger")
	token := arpc.WithToken(func(context.Context) (string, error) { return "ann's", nil })
	_, accepted := arpctest.Transports[1].Connect(t, arpc.NewHandler(), h, token)
	accepted.Stop()
	arpctest.Closed(t, accepted.Done(), "client")
	expect(t, m, `arpc_connections_closed_total{reason="peer"} 1`, `arpc_connections_closed_total{reason="stop"} 1`)
}

// A client that dials counts each of its connections.
func TestReconnectsAreCounted(t *testing.T) {
	near := arpc.NewHandler()
	m := metrics.New(near)
	c, _ := arpctest.Transports[1].Connect(t, near, arpc.NewHandler(), arpc.WithBackoff(arpc.Backoff{First: time.Millisecond}))
	expect(t, m, `arpc_connections_opened_total 1`)
	c.Restart()
	expect(t, m, `arpc_connections_opened_total 2`, `arpc_connections_closed_total{reason="stop"} 1`)
}

func TestDropsAreCounted(t *testing.T) {
	h := arpc.NewHandler()
	m := metrics.New(h)
	h.SetLimits(arpc.Limits{SendFrames: 1})
	near, far := net.Pipe() // nobody reads near
	c := h.ServeConn(far, arpc.Accepted{})
	arpctest.Eventually(t, "a full queue", func() bool { return c.Notify("/n", nil, arpc.TimeZero) != nil })
	near.Close()
	arpctest.Closed(t, c.Done(), "client")
	expect(t, m, `arpc_dropped_total{reason="send_queue_full"} 1`)
}

func TestGaugesAreThoseOfAllSources(t *testing.T) {
	s := arpc.Stats{
		Connections: 1, Requests: 2, InboundFrames: 3, InboundBytes: 4,
		OutboundFrames: 5, OutboundBytes: 6, Calls: 7, Streams: 8,
	}
	source := sourceFunc(func() arpc.Stats { return s })
	expect(t, metrics.New(arpc.NewHandler(), source, source),
		"arpc_connections 2", "arpc_requests 4", "arpc_inbound_queue_frames 6", "arpc_inbound_queue_bytes 8",
		"arpc_send_queue_frames 10", "arpc_send_queue_bytes 12", "arpc_calls 14", "arpc_streams 16")
}

// names are all names that there are, as Describe has them.
func names(t *testing.T) (all []string) {
	t.Helper()
	described := make(chan *prometheus.Desc, 100)
	metrics.New(arpc.NewHandler()).Describe(described)
	close(described)
	for d := range described {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())
		if name == nil {
			t.Fatalf("no name in %s", d)
		}
		all = append(all, name[1])
	}
	slices.Sort(all)
	return all
}

func TestDashboardAndDocumentHaveEveryMetric(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(metrics.Dashboard, &dashboard); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, name := range regexp.MustCompile(`arpc_\w+`).FindAllString(target.Expr, -1) {
				shown = append(shown, strings.TrimSuffix(name, "_bucket"))
			}
		}
	}
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(arpc_\\w+)` ").FindAllStringSubmatch(string(document), -1) {
		documented = append(documented, row[1])
	}
	want := names(t)
	for what, got := range map[string][]string{"dashboard": shown, "document": documented} {
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
		}
	}
}

func TestDocumentHasEveryReason(t *testing.T) {
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../stats.go")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`(?m)^\tClosed\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(reasons) < 10 {
		t.Fatalf("found only %v", reasons)
	}
	for _, reason := range reasons {
		if !strings.Contains(string(document), "| `"+reason[1]+"` |") {
			t.Errorf("%s is not in the document", reason[1])
		}
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	problems, err := testutil.CollectAndLint(metrics.New(arpc.NewHandler(), sourceFunc(func() arpc.Stats { return arpc.Stats{} })))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// shelf is a source with topics.
type shelf struct{ holds topic.Stats }

func (shelf) Stats() arpc.Stats         { return arpc.Stats{} }
func (s shelf) TopicStats() topic.Stats { return s.holds }

func TestTopicsOfAllSourcesAreCounted(t *testing.T) {
	m := metrics.New(arpc.NewHandler(),
		shelf{topic.Stats{Topics: 1, Subscriptions: 20, Lag: 7, MaxLag: 4}},
		sourceFunc(func() arpc.Stats { return arpc.Stats{} }),
		shelf{topic.Stats{Topics: 2, Subscriptions: 10, Lag: 3, MaxLag: 3}})
	expect(t, m, "arpc_topics 3", "arpc_subscriptions 30", "arpc_subscription_lag 10", "arpc_subscription_lag_max 4")
}
