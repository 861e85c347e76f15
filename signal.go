package arpc

import "sync/atomic"

// signal is something that happens once. Its channel is made when somebody
// waits for it: most connections end without anybody who does.
type signal struct {
	channel atomic.Pointer[chan struct{}]
}

// past is the channel of all that happened before anybody waited.
var past = func() *chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return &closed
}()

// happens is called once.
func (s *signal) happens() {
	if waited := s.channel.Swap(past); waited != nil {
		close(*waited)
	}
}

// happened reports whether it did, once those who wait were told or are about to be.
func (s *signal) happened() bool { return s.channel.Load() == past }

// wait returns a channel that is closed when it happens.
func (s *signal) wait() <-chan struct{} {
	if s.channel.Load() == nil {
		fresh := make(chan struct{})
		s.channel.CompareAndSwap(nil, &fresh)
	}
	return *s.channel.Load()
}
