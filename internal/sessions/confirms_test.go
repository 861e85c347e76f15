package sessions_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/internal/cuts"
	"github.com/seed-fbfaa03e/arpc/internal/rawframe"
)

// tally counts the bytes of frames that go one way, by what they are for.
type tally struct {
	mu       sync.Mutex // guards what follows
	rest     []byte     // of a frame that is not whole
	frames   map[byte]int
	all      int
	confirms int
}

// take takes what went that way.
func (y *tally) take(b []byte) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.frames == nil {
		y.frames = map[byte]int{}
	}
	y.all += len(b)
	y.rest = append(y.rest, b...)
	for len(y.rest) >= rawframe.HeaderLen {
		size := rawframe.HeaderLen + int(binary.LittleEndian.Uint32(y.rest))
		if len(y.rest) < size {
			return
		}
		cmd := y.rest[5] & 0x3f
		y.frames[cmd]++
		if cmd == rawframe.CmdConfirm {
			y.confirms += size
		}
		y.rest = y.rest[size:]
	}
}

// TestConfirmsAreFew: of the bytes of a busy session, under one in a hundred.
func TestConfirmsAreFew(t *testing.T) {
	var ways [2]tally
	d := open(t, arpc.Limits{}, false)
	proxy := cuts.Start(t, cuts.Config{Server: d.address, Tap: func(_ int, way cuts.Way, b []byte) { ways[way].take(b) }})
	c, err := arpc.Dial(t.Context(), "tcp://"+proxy.Address, arpc.WithHandler(arpc.NewHandler()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.Stop(); <-c.Done() }()
	for range 20_000 { // of small frames, which is the worst
		if err := c.Call("/run", "a", nil, arpctest.Wait); err != nil {
			t.Fatal(err)
		}
	}
	for way := range ways {
		y := &ways[way]
		y.mu.Lock()
		share := float64(y.confirms) / float64(y.all)
		arpctest.Figure(t, fmt.Sprintf("confirms_%v_percent", cuts.Way(way)), fmt.Sprintf("%.3f", 100*share))
		if y.frames[rawframe.CmdConfirm] < 20_000/256 {
			t.Errorf("%v: %d confirms", cuts.Way(way), y.frames[rawframe.CmdConfirm])
		}
		if share >= 0.01 {
			t.Errorf("%v: confirms are %d of %d bytes", cuts.Way(way), y.confirms, y.all)
		}
		y.mu.Unlock()
	}
}
