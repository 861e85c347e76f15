package cuts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-fbfaa03e/arpc"
)

var errFailed = errors.New("failed")

// patience is how long a call or a stream may take, the cuts included.
const patience = 30 * time.Second

// reply is what the request of an id is answered with.
func reply(id string) string { return "re " + id }

// routes are what both ends do for each other; all is written down.
func (l *ledger) routes(h *arpc.Handler) {
	h.Handle("/echo", l.handling(func(ctx *arpc.Context, id string) { l.write(ctx, id) }))
	h.Handle("/back", l.handling(func(ctx *arpc.Context, id string) {
		l.call(ctx.Client, "/echo", id+"<")
		l.write(ctx, id)
	}))
	h.Handle("/fail", l.handling(func(ctx *arpc.Context, id string) {
		if err := ctx.Error(&arpc.Error{Code: arpc.CodeAborted, Message: reply(id)}); err != nil {
			l.complain("refuse %s: %v", id, err)
		}
	}))
	h.Handle("/hang", l.handling(func(ctx *arpc.Context, id string) {
		if err := ctx.Client.Notify("/hanging", id, patience); err != nil {
			l.complain("say that %s hangs: %v", id, err)
		}
		select {
		case <-ctx.Done():
		case <-l.trust.Done():
		}
		if err := ctx.Error(&arpc.Error{Code: arpc.CodeCanceled, Message: reply(id)}); err != nil {
			l.complain("let go of %s: %v", id, err)
		}
		l.hear(letGo(id) + " 1")
	}))
	h.Handle("/hanging", l.taking(l.hangs))
	h.Handle("/note", l.taking(l.hear))
	h.HandleStream("/mirror", l.mirror)
	h.HandleStream("/tap", l.tap)
}

// handling is a handler of requests, which carry their id.
func (l *ledger) handling(f func(ctx *arpc.Context, id string)) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		var id string
		if err := ctx.Bind(&id); err != nil {
			l.complain("a request: %v", err)
		}
		l.handle(id)
		f(ctx, id)
	}
}

// taking is a handler of notifies, which carry a text.
func (l *ledger) taking(f func(text string)) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		var text string
		if err := ctx.Bind(&text); err != nil {
			l.complain("a notify: %v", err)
		}
		f(text)
	}
}

func (l *ledger) write(ctx *arpc.Context, id string) {
	if err := ctx.Write(reply(id)); err != nil {
		l.complain("answer %s: %v", id, err)
	}
}

// call asks and waits for the answer.
func (l *ledger) call(c *arpc.Client, method, id string) {
	l.ask(id)
	var got string
	ctx, cancel := context.WithTimeout(l.trust, patience)
	defer cancel()
	err := c.CallWith(ctx, method, id, &got)
	l.answer(id, reply(id), got, err)
}

// refused asks what is answered with an error.
func (l *ledger) refused(c *arpc.Client, id string) {
	l.ask(id)
	ctx, cancel := context.WithTimeout(l.trust, patience)
	defer cancel()
	err := c.CallWith(ctx, "/fail", id, nil)
	var coded *arpc.Error
	if !errors.As(err, &coded) || !coded.Remote() || coded.Code != arpc.CodeAborted {
		l.answer(id, "", "", fmt.Errorf("refused with %w", err))
		return
	}
	l.answer(id, reply(id), coded.Message, nil)
}

// letGo is the series of the one thing that who hangs says: that it does no more.
func letGo(id string) string { return id + " let go" }

// gaveUp asks, and gives up once that is handled.
func (l *ledger) gaveUp(c *arpc.Client, id string) {
	l.ask(id)
	ctx, cancel := context.WithTimeout(l.trust, patience)
	defer cancel()
	l.awaitHang(id, cancel)
	l.say(letGo(id))
	err := c.CallWith(ctx, "/hang", id, nil)
	if arpc.CodeOf(err) != arpc.CodeCanceled {
		l.answer(id, "", "", fmt.Errorf("given up with %w", err))
		return
	}
	l.answer(id, "", "", nil)
}

// note sends the next of a series.
func (l *ledger) note(c *arpc.Client, series string) {
	text := l.say(series)
	ctx, cancel := context.WithTimeout(l.trust, patience)
	defer cancel()
	if err := c.NotifyWith(ctx, "/note", text); err != nil {
		l.complain("say %s: %v", text, err)
	}
}

// mirror sends back what it receives, and writes it down as heard.
func (l *ledger) mirror(s *arpc.Stream) {
	for m, err := range s.Messages() {
		if err != nil {
			l.complain("mirror: %v", err)
			return
		}
		name, _, _ := bytes.Cut(m.Data, []byte("|"))
		l.hear(string(name))
		if err := s.SendWith(l.trust, m); err != nil {
			l.complain("mirror %s: %v", name, err)
			return
		}
	}
}

// chunk is the next message of a stream, of a size.
func (l *ledger) chunk(series string, size int) []byte {
	b := append([]byte(l.say(series)), '|')
	for i := 0; len(b) < size; i++ {
		b = append(b, byte(i*7+len(series)))
	}
	return b
}

// mirrored sends chunks of some sizes and sees that the same come back.
func (l *ledger) mirrored(c *arpc.Client, series string, sizes []int) {
	s := c.NewStream("/mirror")
	defer s.Close()
	ctx, cancel := context.WithTimeout(l.trust, patience)
	defer cancel()
	sent := make(chan []byte, len(sizes))
	go func() {
		defer close(sent)
		for _, size := range sizes {
			chunk := l.chunk(series, size)
			sent <- chunk
			if err := s.SendWith(ctx, chunk); err != nil {
				l.complain("send of %s: %v", series, err)
				return
			}
		}
		if err := s.CloseSend(); err != nil {
			l.complain("end of %s: %v", series, err)
		}
	}()
	for want := range sent {
		var got []byte
		if err := s.RecvWith(ctx, &got); err != nil {
			l.complain("mirrored %s: %v", series, err)
			return
		}
		if !bytes.Equal(got, want) {
			l.complain("mirrored %s: got %.40q, want %.40q", series, got, want)
		}
	}
	if err := s.RecvWith(ctx, nil); !errors.Is(err, io.EOF) {
		l.complain("mirrored %s: ended with %v", series, err)
	}
}

// tap sends two messages, and waits until nobody wants more.
func (l *ledger) tap(s *arpc.Stream) {
	var series string
	if err := s.Recv(&series); err != nil {
		l.complain("tap: %v", err)
		return
	}
	for range 2 {
		if err := s.Send(l.say(series)); err != nil {
			l.complain("tap %s: %v", series, err)
		}
	}
	select {
	case <-s.Context().Done():
		l.hear(l.say(series + " left"))
	case <-l.trust.Done():
	case <-time.After(patience):
		l.complain("tap %s: nobody left", series)
	}
}

// tapped takes what a tap sends, and leaves it.
func (l *ledger) tapped(c *arpc.Client, series string) {
	s := c.NewStream("/tap")
	ctx, cancel := context.WithTimeout(l.trust, patience)
	defer cancel()
	if err := s.SendWith(ctx, series); err != nil {
		l.complain("tapped %s: %v", series, err)
		return
	}
	for range 2 {
		var text string
		if err := s.RecvWith(ctx, &text); err != nil {
			l.complain("tapped %s: %v", series, err)
			return
		}
		l.hear(text)
	}
	s.Close()
}
