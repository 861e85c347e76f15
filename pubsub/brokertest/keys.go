package brokertest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

func keyed(text, key string, s broker.Settings) broker.Append {
	return broker.Append{Topic: "t", Frame: Frame(text), Key: key, Settings: s}
}

func testKey(t *testing.T, b *bench) {
	n := b.follow("t", Settings)
	first := b.put(keyed("1", "a", Settings))
	if again := b.put(keyed("once more", "a", Settings)); again != first || first.Offset != 1 {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if other := b.put(keyed("2", "b", Settings)); other.Offset != 2 {
		t.Errorf("another key: %+v", other)
	}
	if without := b.append("t", "3", Settings); without.Offset != 3 {
		t.Errorf("without a key: %+v", without)
	}
	elsewhere := keyed("1", "a", kept(Settings))
	elsewhere.Topic = "elsewhere"
	if p := b.put(elsewhere); p.Offset != 1 || p.Epoch == first.Epoch {
		t.Errorf("in another topic: %+v", p)
	}
	b.eventually("delivered", func() bool { return n.count() == 3 })
	b.equal("delivered", n.texts(), numbered(1, 3))
}

// testKeyRace: also while the first append is under way, a second one is not.
func testKeyRace(t *testing.T, b *bench) {
	const rounds, racers = 20, 8
	n := b.follow("t", Settings)
	for round := range rounds {
		var racing sync.WaitGroup
		var got [racers]appended
		for i := range racers {
			racing.Go(func() { got[i] = b.await(b.start(keyed(fmt.Sprint(round+1), fmt.Sprint("key ", round), Settings))) })
		}
		racing.Wait()
		for i := range racers {
			if got[i] != (appended{position: broker.Position{Epoch: n.state.Epoch, Offset: uint64(round + 1)}}) {
				t.Fatalf("round %d: %+v", round, got)
			}
		}
	}
	b.eventually("delivered", func() bool { return n.count() == rounds })
	b.equal("delivered", n.texts(), numbered(1, rounds))
}

func testKeysForgotten(t *testing.T, b *bench) {
	few := Settings
	few.MaxKeys = 2
	b.follow("t", few)
	for i, key := range []string{"a", "b", "c"} {
		b.put(keyed(fmt.Sprint(i+1), key, few))
	}
	if p := b.put(keyed("4", "c", few)); p.Offset != 3 {
		t.Errorf("one of the newest two keys: %+v", p)
	}
	if p := b.put(keyed("4", "a", few)); p.Offset != 4 {
		t.Errorf("the third newest key: %+v", p)
	}
	short := Settings
	short.Keys = 20 * time.Millisecond
	b.put(keyed("5", "short", short))
	offset := uint64(5)
	b.eventually("the key is forgotten", func() bool {
		p := b.put(keyed("6", "short", short))
		return p.Offset != offset
	})
}
