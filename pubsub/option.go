package pubsub

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// Option is a setting of NewHub and NewServer.
type Option func(*config)

type config struct {
	access           func(password []byte) bool // nil refuses everybody
	open             bool
	authorize        AuthorizeFunc
	broker           broker.Broker // nil is memory
	settings         broker.Settings
	settingsOf       func(topic string, s *TopicSettings)
	linger           time.Duration
	grace            time.Duration
	check            time.Duration
	maxTopics        int
	maxSubscriptions int
	publishRoutes    []string
}

func newConfig(opts []Option) config {
	cfg := config{
		settings: broker.Settings{
			Retention: topic.Limits{Entries: 1000, Bytes: 8 << 20, Age: 5 * time.Minute},
			Keys:      5 * time.Minute,
			MaxKeys:   10_000,
		},
		linger:           time.Minute,
		grace:            10 * time.Second,
		check:            25 * time.Second,
		maxTopics:        100_000,
		maxSubscriptions: 1024,
	}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.access == nil && cfg.authorize != nil {
		Open()(&cfg)
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

// WithBroker keeps the topics in b, which the hub closes when it is closed. The
// default is memory, of this hub alone.
func WithBroker(b broker.Broker) Option { return func(c *config) { c.broker = b } }

// History sets what a topic keeps for subscribers that lag or come back: by
// default 1,000 publications, 8 MiB and 5 minutes, whichever is reached first. A
// bound that is zero in l does not hold.
func History(l topic.Limits) Option { return func(c *config) { c.settings.Retention = l } }

// TopicSettings are the settings of one topic.
type TopicSettings struct {
	// History is what it keeps. One entry is the last value only.
	History topic.Limits
	// Keep makes the topic exist while it holds a publication, though nobody is
	// subscribed: then publishing creates it. Otherwise what is published to a
	// topic that nobody subscribed to lately goes nowhere.
	Keep bool
}

// Topics sets the settings of topics by their names: f is called with a name and
// the settings that would hold, and changes them. It must be quick, and give the
// same for the same name.
//
//	pubsub.Topics(func(name string, s *pubsub.TopicSettings) {
//		if strings.HasPrefix(name, "price:") {
//			s.History, s.Keep = topic.Limits{Entries: 1}, true
//		}
//	})
func Topics(f func(name string, s *TopicSettings)) Option {
	return func(c *config) { c.settingsOf = f }
}

// Keys sets how long the key of a publication is remembered, and how many of a
// topic are at most, the newest: by default 5 minutes and 10,000.
func Keys(d time.Duration, count int) Option {
	return func(c *config) { c.settings.Keys, c.settings.MaxKeys = d, count }
}

// Linger is how long a topic stays after its last subscriber left: one minute
// by default.
func Linger(d time.Duration) Option { return func(c *config) { c.linger = d } }

// Grace is how long a member whose connection was lost counts as there: 10
// seconds by default. If it comes back by then nobody is told anything.
func Grace(d time.Duration) Option { return func(c *config) { c.grace = d } }

// CheckEvery is how often the hub asks the broker whether it missed something
// that was lost without a trace: every 25 seconds by default.
func CheckEvery(d time.Duration) Option { return func(c *config) { c.check = d } }

// MaxTopics bounds the topics of a hub: 100,000 by default, zero does not.
func MaxTopics(n int) Option { return func(c *config) { c.maxTopics = n } }

// MaxSubscriptions bounds the topics that one client is subscribed to: 1,024 by
// default, zero does not.
func MaxSubscriptions(n int) Option { return func(c *config) { c.maxSubscriptions = n } }

// of are the settings of a topic.
func (c *config) of(name string) broker.Settings {
	s := c.settings
	if c.settingsOf == nil {
		return s
	}
	t := TopicSettings{History: s.Retention}
	c.settingsOf(name, &t)
	s.Retention, s.Keep = t.History, t.Keep
	return s
}
