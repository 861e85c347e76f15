package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/topic"
)

const secret = "0123456789abcdef"

// entered returns a client that is in a room.
func entered(t *testing.T, address, room string) *pubsub.Client {
	t.Helper()
	client := dial(t, address)
	if _, err := enter(client, enterRequest{"Ada", secret, room}); err != nil {
		t.Fatal(err)
	}
	return client
}

func enter(c *pubsub.Client, req enterRequest) (reply enterReply, err error) {
	return reply, c.Call("/chat/enter", req, &reply, 5*time.Second)
}

func say(c *pubsub.Client, req sayRequest) (reply sayReply, err error) {
	return reply, c.Call("/chat/say", req, &reply, 5*time.Second)
}

// wantCode fails the test unless err has the code.
func wantCode(t *testing.T, what string, err error, code arpc.Code) {
	t.Helper()
	if arpc.CodeOf(err) != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func TestSaid(t *testing.T) {
	t.Parallel()
	p := start(t)
	page, service := entered(t, p.webSocket(), "attic"), entered(t, "tcp://"+p.tcp, "attic")
	heard := make(chan message, 10)
	if _, err := service.Subscribe("chat:room:attic", func(m *pubsub.Message) {
		var said message
		_ = json.Unmarshal(m.Data.Data, &said)
		heard <- said
	}); err != nil {
		t.Fatal(err)
	}

	first, err := say(page, sayRequest{"attic", "1", "hello"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := say(service, sayRequest{"attic", "1", "hello, a second time"})
	if err != nil || again != first || first.Offset != 1 {
		t.Errorf("said again with the id of %+v: %+v, %v", first, again, err)
	}
	if _, err := say(page, sayRequest{"attic", "2", "bye"}); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"hello", "bye"} {
		want := message{ID: fmt.Sprint(i + 1), Author: authorOf(secret), Name: "Ada", Text: text}
		if got := arpctest.Receive(t, heard, "message"); got != want {
			t.Errorf("heard %+v, want %+v", got, want)
		}
	}
}

// Another author's id is another key: nobody takes the words out of another's mouth.
func TestIDsAreAuthors(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada, eve := entered(t, p.webSocket(), "lobby"), dial(t, p.webSocket())
	if _, err := enter(eve, enterRequest{"Ada", "fedcba9876543210", "lobby"}); err != nil {
		t.Fatal(err)
	}
	for i, client := range []*pubsub.Client{eve, ada} {
		if at, err := say(client, sayRequest{"lobby", "same", "text"}); err != nil || at.Offset != uint64(i+1) {
			t.Errorf("message %d is at %+v, %v", i+1, at, err)
		}
	}
}

func TestAuthors(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada, again, eve := dial(t, p.webSocket()), dial(t, "tcp://"+p.tcp), dial(t, p.webSocket())
	authors := make([]string, 0, 3)
	for client, secret := range map[*pubsub.Client]string{ada: secret, again: secret, eve: "fedcba9876543210"} {
		reply, err := enter(client, enterRequest{"Ada", secret, "lobby"})
		if err != nil {
			t.Fatal(err)
		}
		if got := reply.Author == authorOf(secret); !got || strings.Contains(reply.Author, secret) {
			t.Errorf("the author with the secret %s is %s", secret, reply.Author)
		}
		authors = append(authors, reply.Author)
	}
	slices.Sort(authors)
	if len(slices.Compact(authors)) != 2 {
		t.Errorf("three visitors with two secrets are %v", authors)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := start(t)
	stranger := dial(t, p.webSocket())
	_, err := say(stranger, sayRequest{"lobby", "1", "hello"})
	wantCode(t, "a stranger's message", err, arpc.CodeFailedPrecondition)

	for what, req := range map[string]enterRequest{
		"no name":       {"", secret, "lobby"},
		"a wild name":   {"Ada\u202e", secret, "lobby"},
		"a long name":   {strings.Repeat("x", maxName+1), secret, "lobby"},
		"no secret":     {"Ada", "", "lobby"},
		"a weak secret": {"Ada", "1234", "lobby"},
		"no room":       {"Ada", secret, ""},
		"a wild room":   {"Ada", secret, "../lobby"},
	} {
		_, err := enter(stranger, req)
		wantCode(t, what, err, arpc.CodeInvalidArgument)
	}
	ada := entered(t, p.webSocket(), "lobby")
	for what, req := range map[string]sayRequest{
		"no id":       {"lobby", "", "hello"},
		"a long id":   {"lobby", strings.Repeat("x", maxID+1), "hello"},
		"no text":     {"lobby", "1", ""},
		"a long text": {"lobby", "1", strings.Repeat("x", maxText+1)},
		"a wild text": {"lobby", "1", "a\x00b"},
		"a wild room": {"Lobby", "1", "hello"},
	} {
		_, err := say(ada, req)
		wantCode(t, what, err, arpc.CodeInvalidArgument)
	}
}

// TestClosedTopics tries every way past the routes, on both doors and in both
// protocols. The base one has no codes: an error is a text there.
func TestClosedTopics(t *testing.T) {
	t.Parallel()
	p := start(t)
	protocols := map[arpc.HelloMode][2]arpc.Code{
		arpc.HelloRequire: {arpc.CodePermissionDenied, arpc.CodeNotFound},
		arpc.HelloNever:   {arpc.CodeUnknown, arpc.CodeUnknown},
	}
	for _, address := range []string{p.webSocket(), "tcp://" + p.tcp} {
		for hello, codes := range protocols {
			denied, unknown := codes[0], codes[1]
			what := func(op, topic string) string { return fmt.Sprintf("%s, hello %v: %s %s", address, hello, op, topic) }
			client := dial(t, address, pubsub.WithClientOptions(arpc.WithHello(hello)))
			for _, topic := range []string{"chat:rooms", "chat:room:lobby", "chat:here:lobby"} {
				_, err := client.Publish(topic, message{Text: "past the rules"})
				wantCode(t, what("publish", topic), err, denied)
				wantCode(t, what("publish to one", topic), client.PublishToOne(topic, 1), denied)
				if _, err := client.Subscribe(topic, nil); err != nil {
					t.Errorf("%s: %v", what("subscribe", topic), err)
				}
			}
			for _, topic := range []string{"chat:", "chat:lobby", "chat:room:", "chat:room:Lobby", "chat:room:a:b", "chat:here:", "chat:rooms:"} {
				_, err := client.Subscribe(topic, nil)
				wantCode(t, what("subscribe", topic), err, unknown)
				_, err = client.Publish(topic, 1)
				wantCode(t, what("publish", topic), err, unknown)
			}
			heard := make(chan string, 1)
			if _, err := client.Subscribe("chatter", func(m *pubsub.Message) { heard <- string(m.Data.Data) }); err != nil {
				t.Errorf("%s: %v", what("subscribe", "chatter"), err)
			}
			if _, err := client.Publish("chatter", "free"); err != nil {
				t.Errorf("%s: %v", what("publish", "chatter"), err)
			}
			arpctest.Receive(t, heard, "publication of the playground")
			client.Stop()
		}
	}
}

func TestPresenceIsOfHere(t *testing.T) {
	t.Parallel()
	p := start(t)
	client := dial(t, p.webSocket())
	for _, topic := range []string{"chat:rooms", "chat:room:lobby"} {
		_, err := client.Subscribe(topic, nil, pubsub.WithPresence(person{"a", "Ada"}))
		wantCode(t, "presence in "+topic, err, arpc.CodePermissionDenied)
	}
	if _, err := client.Subscribe("chat:here:lobby", nil, pubsub.WithPresence(person{"a", "Ada"})); err != nil {
		t.Fatal(err)
	}
	members, err := client.Presence("chat:here:lobby")
	if err != nil || len(members) != 1 {
		t.Errorf("here are %v, %v", members, err)
	}
}

func TestTyping(t *testing.T) {
	t.Parallel()
	p := start(t)
	ada := entered(t, p.webSocket(), "lobby")
	seen := make(chan person, 10)
	grace := dial(t, "tcp://"+p.tcp)
	if _, err := grace.Subscribe("chat:here:lobby", func(m *pubsub.Message) {
		var who person
		_ = json.Unmarshal(m.Data.Data, &who)
		seen <- who
	}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []any{nil, 7, typingNotify{"no room"}, typingNotify{"lobby"}} {
		if err := ada.Notify("/chat/typing", n, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := arpctest.Receive(t, seen, "typing"), (person{authorOf(secret), "Ada"}); got != want {
		t.Errorf("typing is %+v, want %+v", got, want)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	p := start(t, "-rate", "1")
	ada, grace := entered(t, p.webSocket(), "lobby"), entered(t, p.webSocket(), "lobby")
	var err error
	for i := 0; err == nil && i < 2*burst; i++ {
		_, err = say(ada, sayRequest{"lobby", fmt.Sprint(i), "hello"})
	}
	wantCode(t, "too many messages", err, arpc.CodeResourceExhausted)
	var data struct{ RetryAfter int64 }
	if coded, ok := err.(*arpc.Error); !ok || json.Unmarshal(coded.Data, &data) != nil || data.RetryAfter < 1 || data.RetryAfter > 1000 {
		t.Errorf("%v says to retry after %d ms, want 1 to 1000", err, data.RetryAfter)
	}
	for range 10 * burst {
		if err := grace.Call("/echo", "free", nil, 5*time.Second); err != nil {
			t.Fatalf("the playground has a limit: %v", err)
		}
	}
	if _, err := say(grace, sayRequest{"lobby", "1", "hello"}); err != nil {
		t.Errorf("another connection, or the playground, pays for it: %v", err)
	}
}

func TestRooms(t *testing.T) {
	t.Parallel()
	p := start(t, "-rate", "10000")
	ada := entered(t, p.webSocket(), "attic")
	for i := range maxRooms - 2 {
		if _, err := enter(ada, enterRequest{"Ada", secret, fmt.Sprintf("room-%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := enter(ada, enterRequest{"Ada", secret, "one-more"})
	wantCode(t, "a room too many", err, arpc.CodeResourceExhausted)
	_, err = say(ada, sayRequest{"one-more", "1", "hello"})
	wantCode(t, "a message in a room too many", err, arpc.CodeResourceExhausted)
	if _, err := enter(ada, enterRequest{"Ada", secret, "attic"}); err != nil {
		t.Errorf("a room that is open: %v", err)
	}

	rooms := make(chan string, maxRooms+1)
	if _, err := ada.Subscribe("chat:rooms", func(m *pubsub.Message) {
		var news roomNews
		_ = json.Unmarshal(m.Data.Data, &news)
		rooms <- news.Room
	}, pubsub.Last(maxRooms)); err != nil {
		t.Fatal(err)
	}
	for i := range maxRooms {
		room := arpctest.Receive(t, rooms, "room")
		if want := [...]string{"lobby", "attic"}; i < len(want) && room != want[i] {
			t.Errorf("room %d is %s, want %s", i, room, want[i])
		}
	}
}

// What was said, and which rooms there are, is there again after kill -9, and a
// message that is sent again is the one that was sent before.
func TestOutlivesTheServer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := start(t, "-data", data)
	ada := entered(t, p.webSocket(), "attic")
	said, err := say(ada, sayRequest{"attic", "1", "hello"})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.end(t, os.Kill)

	p = start(t, "-data", data)
	ada = entered(t, p.webSocket(), "attic")
	if again, err := say(ada, sayRequest{"attic", "1", "hello"}); err != nil || again != said {
		t.Errorf("said again it is at %+v, %v; want %+v", again, err, said)
	}
	page, err := ada.History("chat:room:attic", pubsub.HistoryQuery{})
	if err != nil || len(page.Messages) != 1 {
		t.Errorf("the room holds %d messages, %v; want 1", len(page.Messages), err)
	}
	rooms, err := ada.History("chat:rooms", pubsub.HistoryQuery{})
	if err != nil || len(rooms.Messages) != 2 {
		t.Errorf("there are %d rooms, %v; want lobby and attic, each once", len(rooms.Messages), err)
	}
}

func TestNoPlaceForData(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	status, stderr := runToEnd(t, "-http", "localhost:0", "-tcp", "localhost:0", "-data", file)
	if status != exitFailure || !strings.Contains(stderr, "-data") {
		t.Errorf("status %d and %q", status, stderr)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]pubsub.TopicSettings{
		"chat:rooms":      {History: topic.Limits{Entries: maxRooms}, Keep: true},
		"chat:room:lobby": {History: topic.Limits{Entries: 5000, Bytes: 1 << 20}, Keep: true},
		"chat:here:lobby": {History: topic.Limits{Entries: 100, Age: 10 * time.Second}},
		"other":           {},
	} {
		var got pubsub.TopicSettings
		if keep(name, &got); got != want {
			t.Errorf("%s is kept as %+v, want %+v", name, got, want)
		}
	}
}
