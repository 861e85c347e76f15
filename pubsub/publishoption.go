package pubsub

// PublishOption is a setting of Publish, on the server and in clients.
type PublishOption interface{ publish(*publishOptions) }

// SubscribeOption is a setting of Client.Subscribe and Hub.Join.
type SubscribeOption interface{ subscribe(*subscribeOptions) }

// EchoOption is a setting of both.
type EchoOption interface {
	PublishOption
	SubscribeOption
}

type publishFunc func(*publishOptions)

func (f publishFunc) publish(o *publishOptions) { f(o) }

type subscribeFunc func(*subscribeOptions)

func (f subscribeFunc) subscribe(o *subscribeOptions) { f(o) }

// Key makes a publication one that lands once: while the topic remembers the key,
// another one with it has the position of the first and is not appended. A key
// has 1 to 128 bytes. A client that publishes with a key tries again by itself
// when the connection is lost. A topic that does not exist remembers nothing: with
// a key too the position is zero then, and what was published is gone.
func Key(key string) PublishOption { return publishFunc(func(o *publishOptions) { o.Key = key }) }

type noEcho struct{}

func (noEcho) publish(o *publishOptions)     { o.Echo = new(bool) }
func (noEcho) subscribe(o *subscribeOptions) { o.request.Echo = new(bool) }

// NoEcho keeps a publication from the connection that publishes it, or, of a
// subscription, all that the client itself publishes.
func NoEcho() EchoOption { return noEcho{} }
