package fanout_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/seed-fbfaa03e/arpc/bench/fanout"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// push is the frame of a publication of a topic "news".
func push(seq uint64, text string) []byte {
	body := binary.LittleEndian.AppendUint16([]byte(text+"news"), 4)
	body = binary.LittleEndian.AppendUint64(body, 1)
	return wire.Append(nil, wire.Header{Cmd: wire.Notify, Flags: wire.Outside, Seq: seq}, "in_P", body)
}

func TestReadersFindWhatWasPublished(t *testing.T) {
	ping := wire.Header{Cmd: wire.Ping}.Append(nil)
	event := wire.Append(nil, wire.Header{Cmd: wire.Notify}, "arpc.topic", []byte(`{"topic":"news"}`))
	for name, c := range map[string]struct {
		contender string
		message   []byte
		want      []string
		reply     []byte
	}{
		"frames that share a message": {"arpc", slices.Concat(push(1, "one"), event, push(2, "two")), []string{"one", "two"}, nil},
		"a ping among them":           {"arpc", slices.Concat(push(1, "one"), ping), []string{"one"}, wire.Header{Cmd: wire.Pong}.Append(nil)},
		"a frame alone":               {"arpc-base", push(1, "one"), []string{"one"}, nil},
		"a text":                      {"raw", []byte("one"), []string{"one"}, nil},
		"an event":                    {"socket.io", []byte(`42["news","one"]`), []string{"one"}, nil},
		"a ping of Engine.IO":         {"socket.io", []byte("2"), nil, []byte("3")},
	} {
		t.Run(name, func(t *testing.T) {
			got, reply, err := readAll(t, c.contender, c.message)
			if err != nil || !slices.Equal(got, c.want) || string(reply) != string(c.reply) {
				t.Errorf("read %q, reply %q, %v", got, reply, err)
			}
		})
	}
}

func TestReadersRefuseWhatTheyDoNotKnow(t *testing.T) {
	one := push(1, "one")
	long := slices.Clone(one)
	long[7] = 200 // a method longer than what follows
	for name, c := range map[string]struct {
		contender string
		message   []byte
	}{
		"half a header": {"arpc", one[:10]},
		"half a frame":  {"arpc", one[:len(one)-1]},
		"long method":   {"arpc", long},
		"other packet":  {"socket.io", []byte("41")},
	} {
		if got, _, err := readAll(t, c.contender, c.message); err == nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
}

func readAll(t *testing.T, contender string, message []byte) (texts []string, reply []byte, err error) {
	t.Helper()
	c, err := fanout.Named(contender)
	if err != nil {
		t.Fatal(err)
	}
	reply, err = c.Protocol.Read(message, func(text []byte) error {
		texts = append(texts, string(text))
		return nil
	})
	return texts, reply, err
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range fanout.All {
		if seen[c.Name] || c.Name == "" || c.About == "" {
			t.Errorf("contender %q: its name is taken, or something is empty", c.Name)
		}
		if (c.New == nil) == (c.Server == nil) || c.Protocol.Greet == nil || c.Protocol.Read == nil {
			t.Errorf("%s: it has no server, or two, or no protocol", c.Name)
		}
		seen[c.Name] = true
	}
	if _, err := fanout.Named("nobody"); err == nil {
		t.Error("a contender that is not there was found")
	}
}
