package server

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// exchange is one request on a connection of its own, in memory: what holds for
// every connection, from authentication to the draining at shutdown, so holds for
// a request over HTTP.
type exchange struct {
	ctx  context.Context
	conn net.Conn
	stop func() bool // the conn does not end with ctx any more
	d    *wire.Decoder
}

const (
	helloSeq = iota + 1
	callSeq
)

// maxToken leaves room for the rest of a hello, which has 16 KiB.
const maxToken = 8 << 10

// exchangeHello is a hello. What is agreed to is that errors have codes and bodies
// say what they are.
type exchangeHello struct {
	Arpc   int      `json:"arpc"`
	Caps   []string `json:"caps"`
	Coders []string `json:"coders"`
	Codec  string   `json:"codec"`
	Token  string   `json:"token,omitempty"`
}

// exchange begins one, for who a proxy says to be at address, nil without one. Its
// error is an *arpc.Error: no room, or who asks is not let in.
func (s *Server) exchange(ctx context.Context, r *http.Request, address net.Addr) (*exchange, error) {
	token := bearer(r)
	if len(token) > maxToken {
		return nil, arpc.ErrUnauthenticated
	}
	if err := s.letIn(); err != nil {
		return nil, busy()
	}
	if address == nil {
		address = httpAddr(r.RemoteAddr)
	}
	near, far := net.Pipe()
	s.keep(s.Handler.ServeConn(far, arpc.Accepted{
		Request:    r,
		RemoteAddr: address,
		Codec:      codec.JSON,
		Detached:   true,
		Ended:      s.ended,
	}))
	e := &exchange{
		ctx:  ctx,
		conn: near,
		stop: context.AfterFunc(ctx, func() { near.Close() }),
		d:    wire.NewDecoder(s.Handler.Limits().Body),
	}
	hello := exchangeHello{Arpc: 1, Caps: []string{"errors", "kind"}, Coders: []string{}, Codec: codec.JSON.Name(), Token: token}
	if _, err := e.ask(wire.Outside.WithKind(wire.Value), helloSeq, "arpc.hello", mustJSON(hello)); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *exchange) close() {
	e.stop()
	e.conn.Close()
}

// call makes the call of the exchange.
func (e *exchange) call(method string, body arpc.Raw) (arpc.Raw, error) {
	return e.ask(wire.Flags(0).WithKind(body.Kind), callSeq, method, body.Data)
}

// ask sends a request and waits for its answer.
func (e *exchange) ask(flags wire.Flags, seq uint64, method string, body []byte) (arpc.Raw, error) {
	frame := wire.Append(nil, wire.Header{Cmd: wire.Request, Flags: flags, Seq: seq}, method, body)
	if _, err := e.conn.Write(frame); err != nil {
		return arpc.Raw{}, e.lost()
	}
	for {
		f, err := e.next()
		switch {
		case err != nil:
			return arpc.Raw{}, e.lost()
		case f.Cmd.Command() == wire.Ping:
			pong := wire.Header{Cmd: wire.Pong, Seq: f.Seq}.Append(nil)
			if _, err := e.conn.Write(pong); err != nil {
				return arpc.Raw{}, e.lost()
			}
		case f.Cmd.Command() == wire.Response && f.Seq == seq:
			return answerOf(f)
		}
	}
}

// next is the next frame from the engine.
func (e *exchange) next() (wire.Frame, error) {
	for {
		if f, ok, err := e.d.Next(); ok || err != nil {
			return f, err
		}
		n, err := e.conn.Read(e.d.Buffer())
		e.d.Advance(n)
		if err != nil {
			return wire.Frame{}, err
		}
	}
}

// lost is what the end of the connection means.
func (e *exchange) lost() error {
	switch err := e.ctx.Err(); {
	case errors.Is(err, context.DeadlineExceeded):
		return arpc.Errorf(arpc.CodeDeadlineExceeded, "no answer in time")
	case err != nil:
		return arpc.Errorf(arpc.CodeCanceled, "given up")
	}
	return arpc.Errorf(arpc.CodeUnavailable, "ended without an answer")
}

func answerOf(f wire.Frame) (arpc.Raw, error) {
	if f.Flags&wire.Error == 0 {
		return arpc.Raw{Kind: f.Flags.Kind(), Data: f.Body}, nil
	}
	var told errorBody
	if f.Flags&wire.Structured == 0 || json.Unmarshal(f.Body, &told) != nil {
		return arpc.Raw{}, arpc.Errorf(arpc.CodeUnknown, "%s", f.Body)
	}
	return arpc.Raw{}, &arpc.Error{Code: told.Code, Message: told.Message, Data: told.Data}
}

// bearer is the token that a request carries, "" if it has none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// httpAddr is the address that a request comes from, as net/http has it.
type httpAddr string

func (httpAddr) Network() string  { return "tcp" }
func (a httpAddr) String() string { return string(a) }
