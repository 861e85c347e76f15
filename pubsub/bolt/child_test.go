package bolt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/pubsub/broker"
	"github.com/seed-fbfaa03e/arpc/pubsub/brokertest"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// A child is this binary again, to be killed: childRole says what it does to the
// file childPath, and childWith is what else it has to know.
const (
	childRole = "ARPC_BOLT_CHILD"
	childPath = "ARPC_BOLT_PATH"
	childWith = "ARPC_BOLT_WITH"
)

func runChild(role string) {
	b, err := Open(os.Getenv(childPath))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch role {
	case "hold":
		say("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "publish":
		publishForEver(b, os.Getenv(childWith))
	case "serve":
		serveClients(b, os.Getenv(childWith))
	}
}

// say writes a line at once and as a whole: what was said before the kill counts.
func say(words ...any) { _, _ = os.Stdout.WriteString(fmt.Sprintln(words...)) }

const (
	publishers = 64
	topics     = 4
)

var killSettings = broker.Settings{
	Retention: topic.Limits{Entries: 10_000_000},
	Keep:      true,
	Keys:      time.Hour,
	MaxKeys:   10_000,
}

func topicOf(publisher int) string { return fmt.Sprint("t", publisher%topics) }

// publishForEver says every acknowledgement and every delivery.
func publishForEver(b *Broker, round string) {
	for i := range topics {
		if _, _, err := b.Subscribe(context.Background(), topicOf(i), killSettings, &sayer{topicOf(i)}); err != nil {
			panic(err)
		}
	}
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for n := 1; ; n++ {
				payload := fmt.Sprintf("%s/%d/%d", round, p, n)
				told := make(chan broker.Position, 1)
				b.Append(broker.Append{Topic: topicOf(p), Frame: brokertest.Frame(payload), Key: payload, Settings: killSettings},
					func(at broker.Position, err error) {
						if err != nil {
							panic(err)
						}
						told <- at
					})
				at := <-told
				say("acked", p, n, at.Epoch, at.Offset)
			}
		})
	}
	publishing.Wait()
}

// sayer is a follower that says what it gets.
type sayer struct{ topic string }

func (s *sayer) Deliver(e broker.Entry) {
	say("delivered", s.topic, e.Offset, brokertest.Text(e.Frame))
}
func (s *sayer) Reset(broker.State)    {}
func (s *sayer) Changed(broker.Change) {}
func (s *sayer) TakeOne([]byte) bool   { return false }

// child is one that runs.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // closed when it said everything
}

func start(t *testing.T, role, path, with string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path, childWith+"="+with)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, stdin: stdin, lines: make(chan string, 1<<20)}
	go func() {
		defer close(c.lines)
		for r := bufio.NewReader(stdout); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return // what is not a whole line was not said
			}
			c.lines <- strings.TrimSpace(line)
		}
	}()
	t.Cleanup(func() { _ = c.kill() })
	return c
}

// kill is kill -9. It returns what the child said and nobody heard yet.
func (c *child) kill() (rest []string) {
	_ = c.cmd.Process.Kill()
	for line := range c.lines {
		rest = append(rest, line)
	}
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
	return rest
}
