package arpc

import (
	"sync"
	"testing"
)

func TestASignalReachesThoseWhoWaitAndThoseWhoCome(t *testing.T) {
	var s signal
	before := s.wait()
	select {
	case <-before:
		t.Fatal("it did not happen yet")
	default:
	}
	if s.happened() || s.wait() != before {
		t.Error("waiting changed it")
	}
	s.happens()
	<-before
	<-s.wait()
	if !s.happened() {
		t.Error("it happened")
	}
}

// TestASignalIsNotMissed by those who come to wait while it happens.
func TestASignalIsNotMissed(t *testing.T) {
	for range 1000 {
		var s signal
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { <-s.wait() })
		}
		all.Go(s.happens)
		all.Wait()
	}
}
