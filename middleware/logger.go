package middleware

import (
	"context"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/seed-fbfaa03e/arpc"
)

// maxLogged is how many bytes of one text of the peer, or about it, are logged.
const maxLogged = 256

// Logger logs one line for each message: a request when it is answered, however
// late, a notify when its handler returned. nil is the logger of the Handler.
//
// The line has method, kind, from, identity, bytes, duration, and code and error of
// what failed, at the level Info, and Warn if it failed. Texts are cut at 256
// bytes, and are attributes, so that the handler of the logger quotes what a
// peer put into them. Bodies and tokens are not logged.
func Logger(l *slog.Logger) arpc.HandlerFunc {
	return func(ctx *arpc.Context) {
		entry := logEntry{to: l, began: time.Now(), ctx: ctx}
		if entry.to == nil {
			entry.to = ctx.Client.Handler.Logger()
		}
		if ctx.IsRequest() {
			ctx.OnAnswered(entry.write)
			return
		}
		ctx.Next()
		entry.write(nil)
	}
}

// logEntry is a line that will be written.
type logEntry struct {
	to    *slog.Logger
	began time.Time
	ctx   *arpc.Context
}

func (e logEntry) write(failure error) {
	took := time.Since(e.began)
	level, kind := slog.LevelInfo, "notify"
	if e.ctx.IsRequest() {
		kind = "request"
	}
	if failure != nil {
		level = slog.LevelWarn
	}
	if !e.to.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", bounded(e.ctx.Method())),
		slog.String("kind", kind),
		slog.Int("bytes", e.ctx.BodyLen()),
		slog.Duration("duration", took),
	}
	if from := e.ctx.Client.RemoteAddr(); from != nil {
		attrs = append(attrs, slog.String("from", from.String()))
	}
	if who := e.ctx.Client.Identity(); who != nil {
		attrs = append(attrs, slog.String("identity", bounded(who.ID)))
	}
	if failure != nil {
		attrs = append(attrs, slog.String("code", string(arpc.CodeOf(failure))), slog.String("error", bounded(failure.Error())))
	}
	e.to.LogAttrs(context.Background(), level, "arpc: call", attrs...)
}

// bounded is text, cut at the end of a rune.
func bounded(text string) string {
	if len(text) <= maxLogged {
		return text
	}
	cut := maxLogged
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
