package bolt

import (
	"log/slog"
	"time"
)

// Option is a setting of Open.
type Option func(*config)

type config struct {
	neverSync    bool
	interval     time.Duration
	queueEntries int
	queueBytes   int
	maxBytes     int64
	maxTopics    int
	linger       time.Duration
	startOver    bool
	logger       *slog.Logger
}

func newConfig(opts []Option) config {
	cfg := config{
		queueEntries: 16_384,
		queueBytes:   64 << 20,
		maxBytes:     4 << 30,
		maxTopics:    100_000,
		linger:       10 * time.Minute,
	}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.logger == nil {
		cfg.logger = slog.Default()
	}
	return cfg
}

// NeverSync leaves it to the operating system when it writes to the disk. What
// was acknowledged then survives the end of the process, kill -9 too, but not
// that of the machine: after a power failure the publications of about the last
// half minute are gone, or the file is damaged. Topics get new epochs then, so
// that clients are told. It is for demos and tests.
func NeverSync() Option { return func(c *config) { c.neverSync = true } }

// CommitEvery makes publishers wait d for others, so that more of them share a
// sync: it costs every one of them that much time, and spares the disk. The
// default is zero: one that comes alone is written at once, and those that come
// meanwhile share the next sync.
func CommitEvery(d time.Duration) Option { return func(c *config) { c.interval = d } }

// Queue bounds the publications that wait to be written: by default 16,384 and
// 64 MiB. Beyond it publishers are answered with resource_exhausted.
func Queue(entries, bytes int) Option {
	return func(c *config) { c.queueEntries, c.queueBytes = entries, bytes }
}

// MaxBytes bounds what is used of the file: by default 4 GiB. Beyond it
// publishers are answered with resource_exhausted until retention has made room.
// The file itself is at most twice as large, and is compacted when more than
// half of it is unused: then there are two of them for a moment.
func MaxBytes(n int64) Option { return func(c *config) { c.maxBytes = n } }

// MaxTopics bounds the topics in the file: by default 100,000; zero does not.
func MaxTopics(n int) Option { return func(c *config) { c.maxTopics = n } }

// Linger is how long a topic stays that nobody follows, and a kept one that is
// empty: by default 10 minutes. It counts anew when the file is opened, so that
// clients have the time to come back.
func Linger(d time.Duration) Option { return func(c *config) { c.linger = d } }

// StartOver makes Open set a damaged file aside, as PATH.damaged-TIME, and begin
// with an empty one. The default is to refuse.
func StartOver() Option { return func(c *config) { c.startOver = true } }

// Logger takes what happens to the file: by default slog.Default().
func Logger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }
