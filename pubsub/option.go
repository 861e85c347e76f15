package pubsub

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/seed-fbfaa03e/arpc/topic"
)

// Option is a setting of NewHub and NewServer.
type Option func(*config)

type config struct {
	access           func(password []byte) bool // nil refuses everybody
	open             bool
	history          topic.Limits
	linger           time.Duration
	maxTopics        int
	maxSubscriptions int
}

func newConfig(opts []Option) config {
	cfg := config{
		history:          topic.Limits{Entries: 1000, Bytes: 8 << 20, Age: 5 * time.Minute},
		linger:           time.Minute,
		maxTopics:        100_000,
		maxSubscriptions: 1024,
	}
	for _, o := range opts {
		o(&cfg)
	}
	return cfg
}

// Open lets every peer use the topics; authentication succeeds with any password.
func Open() Option {
	return func(c *config) {
		c.access, c.open = func([]byte) bool { return true }, true
	}
}

// Password lets peers use the topics that authenticate with it. It is compared
// in constant time. An empty password opens nothing.
func Password(password string) Option {
	want := sha256.Sum256([]byte(password))
	return func(c *config) {
		c.open = false
		c.access = func(got []byte) bool {
			sum := sha256.Sum256(got)
			return subtle.ConstantTimeCompare(sum[:], want[:]) == 1 && password != ""
		}
	}
}

// History sets what a topic keeps for subscribers that lag: by default 1,000
// publications, 8 MiB and 5 minutes, whichever is reached first. A bound that
// is zero in l does not hold.
func History(l topic.Limits) Option { return func(c *config) { c.history = l } }

// Linger is how long a topic stays after its last subscriber left: one minute
// by default.
func Linger(d time.Duration) Option { return func(c *config) { c.linger = d } }

// MaxTopics bounds the topics of a hub: 100,000 by default, zero does not.
func MaxTopics(n int) Option { return func(c *config) { c.maxTopics = n } }

// MaxSubscriptions bounds the topics that one client is subscribed to: 1,024 by
// default, zero does not.
func MaxSubscriptions(n int) Option { return func(c *config) { c.maxSubscriptions = n } }
