package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/middleware"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/topic"
)

// The topics of the chat. What stays and what passes are apart, so that a room
// can be followed without being in it.
const (
	chatPrefix = "chat:"
	roomPrefix = "chat:room:" // the messages of a room
	herePrefix = "chat:here:" // who is in a room, and who is typing there
	roomsTopic = "chat:rooms" // the rooms there are, one publication each
)

const (
	// maxRooms bounds what strangers can make this server remember.
	maxRooms = 200

	// burst is how many seconds' worth a client may ask for at once: a page
	// that comes back with what was written offline is soon through.
	burst = 3
)

// chat is the rooms and their rules. It remembers next to nothing itself: what
// was said, and which rooms there are, is in the topics.
type chat struct {
	topics *pubsub.Server

	mu    sync.Mutex      // guards rooms
	rooms map[string]bool // those opened or found open since the server started
}

// What the routes take, and what they answer.
type (
	enterRequest struct {
		Name   string `json:"name"`
		Secret string `json:"secret"`
		Room   string `json:"room"`
	}
	enterReply struct {
		Author string `json:"author"`
	}
	sayRequest struct {
		Room string `json:"room"`
		ID   string `json:"id"`
		Text string `json:"text"`
	}
	sayReply struct {
		Epoch  string `json:"epoch"`
		Offset uint64 `json:"offset"`
	}
	typingNotify struct {
		Room string `json:"room"`
	}
)

// What is published.
type (
	message struct {
		ID     string `json:"id"`
		Author string `json:"author"`
		Name   string `json:"name"`
		Text   string `json:"text"`
	}
	person struct {
		Author string `json:"author"`
		Name   string `json:"name"`
	}
	roomNews struct {
		Room string `json:"room"`
	}
)

// mountChat registers the routes of the chat. One client may ask for so much a
// second; other routes are not limited. They are ordered: what a client asks for
// happens in the order it asked.
func mountChat(topics *pubsub.Server, perSecond int) error {
	c := &chat{topics: topics, rooms: map[string]bool{}}
	limit := middleware.RateLimit(rate.Limit(perSecond), burst*perSecond)
	topics.Handler.Use(func(ctx *arpc.Context) {
		if strings.HasPrefix(ctx.Method(), "/chat/") {
			limit(ctx)
		}
	})
	arpc.Route(topics.Handler, "/chat/enter", c.enter, arpc.Ordered)
	arpc.Route(topics.Handler, "/chat/say", c.say, arpc.Ordered)
	topics.Handler.Handle("/chat/typing", c.typing, arpc.Ordered)
	return c.open("lobby")
}

// enter lets a visitor into a room, which opens if it is the first one there.
// The answer is who the visitor is: the same author for the same secret, and
// nobody else's.
func (c *chat) enter(ctx *arpc.Context, req enterRequest) (enterReply, error) {
	if err := checkName(req.Name); err != nil {
		return enterReply{}, err
	}
	if !secretShape.MatchString(req.Secret) {
		return enterReply{}, arpc.Errorf(arpc.CodeInvalidArgument, "the secret has to be 16 to 64 letters and digits")
	}
	if err := c.open(req.Room); err != nil {
		return enterReply{}, err
	}
	who := person{Author: authorOf(req.Secret), Name: req.Name}
	admit(ctx.Client, who)
	return enterReply{who.Author}, nil
}

// say publishes a message, once for each id however often it is asked to, and
// answers where the room has it.
func (c *chat) say(ctx *arpc.Context, req sayRequest) (sayReply, error) {
	who, err := visitor(ctx.Client)
	if err != nil {
		return sayReply{}, err
	}
	if err := checkID(req.ID); err != nil {
		return sayReply{}, err
	}
	if err := checkText(req.Text); err != nil {
		return sayReply{}, err
	}
	if err := c.open(req.Room); err != nil {
		return sayReply{}, err
	}
	m := message{ID: req.ID, Author: who.Author, Name: who.Name, Text: req.Text}
	at, err := c.topics.Publish(roomPrefix+req.Room, m, pubsub.Key(m.Author+" "+m.ID))
	return sayReply{at.Epoch, at.Offset}, err
}

// typing tells the others in a room. It is a notify: if something is wrong with
// it, nobody waits to hear so.
func (c *chat) typing(ctx *arpc.Context) {
	var n typingNotify
	who, err := visitor(ctx.Client)
	if err != nil || ctx.Bind(&n) != nil || checkRoom(n.Room) != nil {
		return
	}
	_, _ = c.topics.Publish(herePrefix+n.Room, who) // it passes anyway
}

// open opens a room unless it is open, and tells everybody. The key is there for
// a server that starts again on the topics of the last one: they know the room.
func (c *chat) open(room string) error {
	if err := checkRoom(room); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.rooms[room]:
		return nil
	case len(c.rooms) >= maxRooms:
		return arpc.Errorf(arpc.CodeResourceExhausted, "there are %d rooms, which is all this server takes", maxRooms)
	}
	if _, err := c.topics.Publish(roomsTopic, roomNews{room}, pubsub.Key(room)); err != nil {
		return err
	}
	c.rooms[room] = true
	return nil
}

// chatOptions are the rules of the chat's topics. The server itself is under
// none: what it publishes went through a route. All other topics are free.
func chatOptions() []pubsub.Option {
	return []pubsub.Option{
		pubsub.Authorize(authorize),
		pubsub.Topics(keep),
		pubsub.Keys(24*time.Hour, 10_000),
		pubsub.PublishRoute("/publish"), // for those who only post
	}
}

// authorize lets clients follow rooms, read their history and be there.
func authorize(_ context.Context, a pubsub.Access) error {
	if !strings.HasPrefix(a.Topic, chatPrefix) {
		return nil
	}
	room, isRoom := strings.CutPrefix(a.Topic, roomPrefix)
	here, isHere := strings.CutPrefix(a.Topic, herePrefix)
	isKnown := a.Topic == roomsTopic || isRoom && checkRoom(room) == nil || isHere && checkRoom(here) == nil
	switch {
	case !isKnown:
		return arpc.Errorf(arpc.CodeNotFound, "there is no such topic under %s", chatPrefix)
	case a.Operation == pubsub.OpPublish:
		return arpc.Errorf(arpc.CodePermissionDenied, "what is said in a room goes through /chat/say")
	case a.Operation == pubsub.OpPresence && !isHere:
		return arpc.Errorf(arpc.CodePermissionDenied, "who is in a room is told by its topic under %s", herePrefix)
	}
	return nil
}

// keep makes what was said outlive those who heard it.
func keep(name string, s *pubsub.TopicSettings) {
	switch {
	case name == roomsTopic:
		s.History, s.Keep = topic.Limits{Entries: maxRooms}, true
	case strings.HasPrefix(name, roomPrefix):
		s.History, s.Keep = topic.Limits{Entries: 5000, Bytes: 1 << 20}, true
	case strings.HasPrefix(name, herePrefix):
		s.History = topic.Limits{Entries: 100, Age: 10 * time.Second}
	}
}

// authorOf makes a public name of a secret one.
func authorOf(secret string) string {
	sum := sha256.Sum256([]byte("arpc chat author\n" + secret))
	return hex.EncodeToString(sum[:8])
}
