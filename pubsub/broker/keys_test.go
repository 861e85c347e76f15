package broker_test

import (
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(offset uint64) broker.Position { return broker.Position{Epoch: "e", Offset: offset} }

func keep(d time.Duration, count int) broker.Settings {
	return broker.Settings{Keys: d, MaxKeys: count}
}

// wantKeys fails the test unless exactly these keys are known then, and where; 0 is
// not known.
func wantKeys(t *testing.T, k *broker.Keys, now time.Time, want map[string]uint64) {
	t.Helper()
	for key, offset := range want {
		if got, ok := k.Find(key, now); ok != (offset != 0) || ok && got != at(offset) {
			t.Errorf("after %v, %s is at %+v, %v, want %d", now.Sub(start), key, got, ok, offset)
		}
	}
}

func TestKeysExpire(t *testing.T) {
	var k broker.Keys
	wantKeys(t, &k, start, map[string]uint64{"a": 0})
	k.Remember("a", at(1), keep(time.Minute, 10), start)
	k.Remember("b", at(2), keep(time.Minute, 10), start.Add(time.Second))
	wantKeys(t, &k, start.Add(time.Minute-1), map[string]uint64{"a": 1, "b": 2, "c": 0})
	wantKeys(t, &k, start.Add(time.Minute), map[string]uint64{"a": 0, "b": 2})
	k.Remember("a", at(3), keep(time.Minute, 10), start.Add(time.Minute))
	wantKeys(t, &k, start.Add(2*time.Minute-1), map[string]uint64{"a": 3, "b": 0})
}

func TestNewestKeysAreKept(t *testing.T) {
	var k broker.Keys
	for i, key := range []string{"a", "b", "c"} {
		k.Remember(key, at(uint64(i+1)), keep(time.Hour, 2), start)
	}
	wantKeys(t, &k, start, map[string]uint64{"a": 0, "b": 2, "c": 3})
	k.Remember("d", at(4), keep(time.Hour, 1), start) // from now on one
	wantKeys(t, &k, start, map[string]uint64{"b": 0, "c": 0, "d": 4})
}

func TestWithoutRoomNoKeyIsKept(t *testing.T) {
	for _, s := range []broker.Settings{{}, keep(0, 10), keep(time.Hour, 0), keep(-1, -1)} {
		var k broker.Keys
		k.Remember("a", at(1), s, start)
		wantKeys(t, &k, start, map[string]uint64{"a": 0})
	}
}

// A key that was kept for a shorter time than one before it expires all the same;
// when it is remembered again, the end of its first time does not end the second.
func TestKeysOfChangedSettings(t *testing.T) {
	var k broker.Keys
	k.Remember("long", at(1), keep(time.Hour, 10), start)
	k.Remember("short", at(2), keep(time.Minute, 10), start)
	again := start.Add(2 * time.Minute)
	wantKeys(t, &k, again, map[string]uint64{"long": 1, "short": 0})
	k.Remember("short", at(3), keep(2*time.Hour, 10), again)
	wantKeys(t, &k, start.Add(time.Hour), map[string]uint64{"long": 0, "short": 3})
	wantKeys(t, &k, again.Add(2*time.Hour), map[string]uint64{"short": 0})
}
