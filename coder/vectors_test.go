package coder_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/coder/aead"
	"github.com/seed-fbfaa03e/arpc/coder/gzip"
	"github.com/seed-fbfaa03e/arpc/coder/trace"
	"github.com/seed-fbfaa03e/arpc/wire"
)

var update = flag.Bool("update", false, "record testdata/go.tsv anew")

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// coders are those of the vectors, by name.
func coders(t *testing.T) map[string]arpc.Coder {
	t.Helper()
	encryption, err := aead.New(make([]byte, aead.KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]arpc.Coder{}
	for _, c := range []arpc.Coder{trace.New(), gzip.New(0), encryption} {
		all[c.Name()] = c
	}
	return all
}

// A vector is a frame, and what coders made of it, in order.
type vector struct {
	coders       []string
	plain, coded []byte
}

func read(t *testing.T, path string) (all []vector) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		v := vector{coders: strings.Split(fields[0], " ")}
		for i, to := range []*[]byte{&v.plain, &v.coded} {
			if *to, err = hex.DecodeString(fields[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, v)
	}
	return all
}

// Every end decodes what every end encoded: ours, and Node's of arpc-js, whose
// tests read both files too.
func TestVectors(t *testing.T) {
	if *update {
		record(t)
	}
	all := coders(t)
	for _, path := range []string{"testdata/go.tsv", "testdata/node.tsv"} {
		vectors := read(t, path)
		if len(vectors) < 9 {
			t.Errorf("%s has %d vectors", path, len(vectors))
		}
		for i, v := range vectors {
			frame := v.coded
			for _, name := range slices.Backward(v.coders) {
				var err error
				if frame, err = all[name].Decode(nil, frame, wire.MaxBody); err != nil {
					t.Fatalf("%s, %d: %s: %v", path, i, name, err)
				}
			}
			if !bytes.Equal(frame, v.plain) {
				t.Errorf("%s, %d: got %x, want %x", path, i, frame, v.plain)
			}
		}
	}
}

// record writes what our coders make.
func record(t *testing.T) {
	all := coders(t)
	ctx := trace.With(context.Background(), parent)
	out := []byte("# Made by Go, with a key of zeros: coders, frame, coded frame\n")
	for _, chain := range [][]string{{"trace"}, {"gzip"}, {"aead"}, {"trace", "gzip", "aead"}} {
		for _, plain := range [][]byte{
			wire.Append(nil, wire.Header{Cmd: wire.Request, Flags: wire.Flags(0).WithKind(wire.Text), Seq: 1 << 60}, "/żółć", []byte(strings.Repeat("again ", 20))),
			wire.Append(nil, wire.Header{Cmd: wire.Notify, Flags: wire.Flags(0).WithKind(wire.Value)}, "/n", bytes.Repeat([]byte(`{"a":1}`), 20)),
			wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 3}, strings.Repeat("m", wire.MaxMethodLen), nil),
		} {
			coded := plain
			for _, name := range chain {
				var err error
				if c, ok := all[name].(arpc.ContextCoder); ok {
					coded, err = c.EncodeContext(ctx, nil, coded)
				} else {
					coded, err = all[name].Encode(nil, coded)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			out = fmt.Appendf(out, "%s\t%x\t%x\n", strings.Join(chain, " "), plain, coded)
		}
	}
	if err := os.WriteFile("testdata/go.tsv", out, 0o644); err != nil {
		t.Fatal(err)
	}
}
