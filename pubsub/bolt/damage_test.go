package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
)

// sample is a file with a few topics, and what they hold.
func sample(t *testing.T) (path string, held map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "topics.db")
	b, err := Open(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	held = map[string]string{}
	for i := range 600 {
		name := fmt.Sprint("topic ", i%7)
		text := strings.Repeat(fmt.Sprint(i, " "), 1+i%40)
		if i == 300 {
			text = strings.Repeat("long", 5000)
		}
		put(t, b, broker.Append{Topic: name, Frame: brokertest.Frame(text), Key: fmt.Sprint(i), Settings: killSettings})
	}
	for i := range 7 {
		name := fmt.Sprint("topic ", i)
		held[name] = fmt.Sprint(readAll(t, b, name))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return path, held
}

// TestDamage: a file with a damage anywhere is refused, or what is read of it is
// what was written.
func TestDamage(t *testing.T) {
	path, held := sample(t)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 200
	if arpctest.Whole {
		rounds = 2000
	}
	refused, begun := 0, len(bytes.TrimRight(sound, "\x00"))
	const page = 4096
	for round := range rounds {
		torn := bytes.Clone(sound)
		at := random.IntN(begun)
		var what string
		switch round % 5 {
		case 0:
			what = fmt.Sprint("a bit is flipped at ", at)
			torn[at] ^= 1 << random.IntN(8)
		case 1:
			what = fmt.Sprint("it ends at ", at)
			torn = torn[:at]
		case 2:
			what = fmt.Sprint("a page is empty at ", at)
			clear(torn[at/page*page:][:page])
		case 3:
			from := random.IntN(begun)
			what = fmt.Sprint("a page is at ", at, " that was at ", from)
			copy(torn[at/page*page:][:page], sound[from/page*page:][:page])
		case 4:
			what = fmt.Sprint("something is written over ", at)
			for i := range min(512, begun-at) {
				torn[at+i] = byte(random.Uint32())
			}
		}
		copied := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(copied, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(copied, quiet)
		if err != nil {
			refused++
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		for name, want := range held {
			if got := fmt.Sprint(readAll(t, b, name)); got != want {
				t.Errorf("%s: %s is not what it was", what, name)
			}
		}
		put(t, b, broker.Append{Topic: "topic 1", Frame: brokertest.Frame("more"), Settings: killSettings})
		if err := b.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}
	if refused < rounds/2 {
		t.Errorf("only %d of %d damages were found", refused, rounds)
	}
	arpctest.Figure(t, "bolt_damages", rounds)
	arpctest.Figure(t, "bolt_damages_refused", refused)
	arpctest.Figure(t, "bolt_damages_seed", seed)
}

// TestAFirstPageInPlaceOfTheOther: either may be the newest, without which the file
// would be what it was one transaction ago.
func TestAFirstPageInPlaceOfTheOther(t *testing.T) {
	path, _ := sample(t)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for from, at := range map[int]int{0: page, page: 0} {
		torn := bytes.Clone(sound)
		copy(torn[at:][:page], sound[from:][:page])
		copied := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(copied, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := Open(copied, quiet)
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("the page at %d is at %d: %v", from, at, err)
		}
		if err == nil {
			_ = b.Close()
		}
	}
}

// TestStartOver: a damaged file is set aside.
func TestStartOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topics.db")
	rubbish := bytes.Repeat([]byte("rubbish "), 10_000)
	if err := os.WriteFile(path, rubbish, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, quiet)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "backup") {
		t.Fatalf("opening a damaged file: %v", err)
	}
	b := openBroker(t, path, StartOver())
	if at := put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Settings: killSettings}); at.Offset != 1 {
		t.Errorf("position %v", at)
	}
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Fatalf("set aside: %q, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, rubbish) {
		t.Errorf("the file set aside is another, %v", err)
	}
}

// TestStartOverOnlyIfDamaged: what cannot be opened for another reason stays.
func TestStartOverOnlyIfDamaged(t *testing.T) {
	path, _ := sample(t)
	b := openBroker(t, path)
	if _, err := Open(path, StartOver(), quiet); !errors.Is(err, ErrHeld) {
		t.Errorf("a file that is held: %v", err)
	}
	folder := t.TempDir()
	if _, err := Open(folder, StartOver(), quiet); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a folder: %v", err)
	}
	put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Settings: killSettings})
}

// TestDamageWhileOpen: what is damaged later is not served either, and the file
// is not written any more.
func TestDamageWhileOpen(t *testing.T) {
	for what, damage := range map[string]func(f *os.File, size int64) error{
		"written over": func(f *os.File, size int64) error {
			_, err := f.WriteAt(bytes.Repeat([]byte("rubbish!"), int(size-2*4096)/8), 2*4096)
			return err
		},
		"cut short": func(f *os.File, _ int64) error { return f.Truncate(2 * 4096) },
	} {
		t.Run(what, func(t *testing.T) {
			path, _ := sample(t)
			var log bytes.Buffer
			b, err := Open(path, Logger(slog.New(slog.NewTextHandler(&log, nil))))
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, err := f.Stat()
			if err = errors.Join(err, damage(f, info.Size())); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			page, err := b.Read(context.Background(), "topic 1", broker.Query{Entries: 1000, Bytes: 1 << 20})
			if arpc.CodeOf(err) != arpc.CodeDataLoss || len(page.Entries) > 0 {
				t.Errorf("reading: %d entries, %v", len(page.Entries), err)
			}
			for range 2 {
				got := try(b, broker.Append{Topic: "topic 1", Frame: brokertest.Frame("1"), Settings: killSettings})
				if arpc.CodeOf(got.err) != arpc.CodeUnavailable {
					t.Errorf("publishing: %v, %v", got.at, got.err)
				}
			}
			_ = b.Close() // there is nothing more to be said of it
			if !strings.Contains(log.String(), "topics cannot be written") {
				t.Errorf("logged: %s", &log)
			}
			if _, err := Open(path, quiet); !errors.Is(err, ErrDamaged) {
				t.Errorf("opened again: %v", err)
			}
		})
	}
}

// TestPowerFailure: without syncs nobody knows what is missing after one, so
// topics get new epochs; after the end of the process alone nothing is missing.
func TestPowerFailure(t *testing.T) {
	was := bootID
	t.Cleanup(func() { bootID = was })
	for name, c := range map[string]struct {
		opts    []Option
		reboots bool
		close   bool
		renewed bool
	}{
		"without syncs":                {[]Option{NeverSync()}, true, false, true},
		"without syncs, but closed":    {[]Option{NeverSync()}, true, true, false},
		"without syncs, killed":        {[]Option{NeverSync()}, false, false, false},
		"with syncs":                   {nil, true, false, false},
		"with syncs, killed":           {nil, false, false, false},
		"on a machine without boot id": {[]Option{NeverSync()}, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			bootID = func() string { return "one" }
			if strings.Contains(name, "without boot id") {
				bootID = func() string { return "" }
			}
			path := filepath.Join(t.TempDir(), "topics.db")
			b := openBroker(t, path, c.opts...)
			at := put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Key: "k", Settings: killSettings})
			if c.close {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
			}
			left := filepath.Join(t.TempDir(), "left.db")
			copyFile(t, path, left)
			if c.reboots {
				bootID = func() string { return "another" }
			}
			b = openBroker(t, left)
			state, err := b.State(t.Context(), "t")
			if err != nil || state.First != 1 || state.Last != 1 || (state.Epoch != at.Epoch) != c.renewed {
				t.Errorf("state %+v, %v; the epoch was %s", state, err, at.Epoch)
			}
			again := put(t, b, broker.Append{Topic: "t", Frame: brokertest.Frame("1"), Key: "k", Settings: killSettings})
			if want := (broker.Position{Epoch: state.Epoch, Offset: 1}); again != want {
				t.Errorf("the key is at %v, want %v", again, want)
			}
		})
	}
}
