// Package metrics gives Prometheus what an arpc.Handler does: calls and notifies,
// connections and why they ended, queues, and what was dropped. docs/metrics.md
// has the list, and dashboard.json is a dashboard for Grafana.
package metrics

import (
	_ "embed"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// Dashboard is a Grafana dashboard of these metrics, ready to be imported.
//
//go:embed dashboard.json
var Dashboard []byte

// Source tells what connections hold now: a server.Server, a pubsub.Server, a
// pool.Pool or an arpc.Client.
// One with topics, such as a pubsub.Server, tells of those too.
type Source interface{ Stats() arpc.Stats }

// topicSource is a Source with topics.
type topicSource interface{ TopicStats() topic.Stats }

// Metrics is a prometheus.Collector of one Handler.
type Metrics struct {
	handler *arpc.Handler
	sources []Source

	calls    *prometheus.CounterVec
	notifies *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	opened   prometheus.Counter
	closed   *prometheus.CounterVec
	dropped  *prometheus.CounterVec
	resumed  prometheus.Counter
	ended    *prometheus.CounterVec
	vectors  []prometheus.Collector
	gauges   []gauge
}

// held is what there is now.
type held struct {
	arpc.Stats
	topics topic.Stats
}

// otherMethods stands for the methods that have no route: a peer can make up any
// number of them.
const otherMethods = "other"

// Why messages were dropped.
const (
	droppedQueue      = "send_queue_full"  // a message of ours, by a sender that did not wait longer
	droppedConnection = "connection_ended" // a request that waited for its turn
	droppedAnswer     = "late_answer"      // an answer that nobody waits for any more
)

// New measures a handler, and what the sources hold. Middleware measures what is
// registered after it, so New comes before the routes:
//
//	s := server.New()
//	prometheus.MustRegister(metrics.New(s.Handler, s))
func New(h *arpc.Handler, sources ...Source) *Metrics {
	m := &Metrics{
		handler:  h,
		sources:  sources,
		calls:    counters("calls_total", "Requests answered, by method and code.", "method", "code"),
		notifies: counters("notifies_total", "Notifies handled, by method.", "method"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "arpc_call_seconds",
			Help:    "Time from the start of a request's handling to its answer.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 4, 10), // 50 µs to 13 s
		}, []string{"method"}),
		opened:  prometheus.NewCounter(prometheus.CounterOpts{Name: "arpc_connections_opened_total", Help: "Connections that were opened."}),
		closed:  counters("connections_closed_total", "Connections that ended, by reason.", "reason"),
		dropped: counters("dropped_total", "Messages that were not sent, handled or waited for, by reason.", "reason"),
		resumed: prometheus.NewCounter(prometheus.CounterOpts{Name: "arpc_sessions_resumed_total", Help: "Sessions that went on with another connection."}),
		ended:   counters("sessions_ended_total", "Sessions that ended, by reason.", "reason"),
		gauges:  newGauges(),
	}
	m.vectors = []prometheus.Collector{m.calls, m.notifies, m.seconds, m.opened, m.closed, m.dropped, m.resumed, m.ended}
	h.Use(m.measure)
	h.HandleStateChange(m.stateChanged)
	h.HandleResumed(func(*arpc.Client) { m.resumed.Inc() })
	h.HandleDisconnected(func(_ *arpc.Client, err error) { m.ended.WithLabelValues(arpc.CloseReason(err)).Inc() })
	h.HandleOverstock(func(*arpc.Client, *arpc.Message) { m.dropped.WithLabelValues(droppedQueue).Inc() })
	h.HandleMessageDropped(func(*arpc.Client, *arpc.Message) { m.dropped.WithLabelValues(droppedConnection).Inc() })
	h.HandleSessionMiss(func(*arpc.Client, *arpc.Message) { m.dropped.WithLabelValues(droppedAnswer).Inc() })
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "arpc_" + name, Help: help}, labels)
}

func (m *Metrics) measure(ctx *arpc.Context) {
	method := ctx.Method()
	if _, ok := m.handler.RouteOf(method); !ok {
		method = otherMethods
	}
	if !ctx.IsRequest() {
		m.notifies.WithLabelValues(method).Inc()
		return
	}
	began := time.Now()
	ctx.OnAnswered(func(err error) {
		code := "ok"
		if err != nil {
			code = string(known(arpc.CodeOf(err)))
		}
		m.calls.WithLabelValues(method, code).Inc()
		m.seconds.WithLabelValues(method).Observe(time.Since(began).Seconds())
	})
}

// known keeps codes that handlers make up out of the labels.
func known(code arpc.Code) arpc.Code {
	switch code {
	case arpc.CodeCanceled, arpc.CodeInvalidArgument, arpc.CodeDeadlineExceeded, arpc.CodeNotFound,
		arpc.CodeAlreadyExists, arpc.CodePermissionDenied, arpc.CodeResourceExhausted,
		arpc.CodeFailedPrecondition, arpc.CodeAborted, arpc.CodeOutOfRange, arpc.CodeUnimplemented,
		arpc.CodeInternal, arpc.CodeUnavailable, arpc.CodeDataLoss, arpc.CodeUnauthenticated:
		return code
	}
	return arpc.CodeUnknown
}

// isOpen is set on clients whose connection was counted and did not end.
type isOpen struct{ m *Metrics }

// stateChanged counts connections: also those of peers that were never let in,
// which the hooks for connections do not tell of. The calls for one client come
// one after the other.
func (m *Metrics) stateChanged(c *arpc.Client, s arpc.State, err error) {
	if s == arpc.StateOpen {
		c.Set(isOpen{m}, true)
		m.opened.Inc()
		return
	}
	if _, was := c.Get(isOpen{m}); was {
		c.Delete(isOpen{m})
		m.closed.WithLabelValues(arpc.CloseReason(err)).Inc()
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, v := range m.vectors {
		v.Describe(to)
	}
	for _, g := range m.gauges {
		to <- g.desc
	}
}

// Collect implements prometheus.Collector. It looks at every connection.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, v := range m.vectors {
		v.Collect(to)
	}
	var all held
	for _, s := range m.sources {
		all.Add(s.Stats())
		if s, ok := s.(topicSource); ok {
			all.topics.Add(s.TopicStats())
		}
	}
	for _, g := range m.gauges {
		to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(g.value(all)))
	}
}

// gauge is one number of what there is now.
type gauge struct {
	desc  *prometheus.Desc
	value func(held) int
}

func newGauges() (all []gauge) {
	add := func(name, help string, value func(held) int) {
		all = append(all, gauge{prometheus.NewDesc("arpc_"+name, help, nil, nil), value})
	}
	add("connections", "Connections there are.", func(s held) int { return s.Connections })
	add("sessions", "Sessions that can be taken up when their connection is lost.", func(s held) int { return s.Sessions })
	add("sessions_parked", "Sessions that wait for that.", func(s held) int { return s.Parked })
	add("journal_bytes", "Bytes that sessions keep until the peer confirmed them.", func(s held) int { return s.JournalBytes })
	add("requests", "Requests of peers without an answer.", func(s held) int { return s.Requests })
	add("calls", "Calls of ours that wait for peers.", func(s held) int { return s.Calls })
	add("streams", "Streams that are open.", func(s held) int { return s.Streams })
	add("inbound_queue_frames", "Frames that wait to be handled.", func(s held) int { return s.InboundFrames })
	add("inbound_queue_bytes", "Bytes of bodies that wait to be handled.", func(s held) int { return s.InboundBytes })
	add("send_queue_frames", "Frames that wait to be sent.", func(s held) int { return s.OutboundFrames })
	add("send_queue_bytes", "Bytes that wait to be sent.", func(s held) int { return s.OutboundBytes })
	add("topics", "Topics there are on this node.", func(s held) int { return s.topics.Topics })
	add("subscriptions", "Subscriptions to them.", func(s held) int { return s.topics.Subscriptions })
	add("subscription_lag", "Publications that subscribers have yet to take, all together.", func(s held) int { return int(s.topics.Lag) })
	add("subscription_lag_max", "Publications that the slowest subscriber has yet to take.", func(s held) int { return int(s.topics.MaxLag) })
	return all
}
