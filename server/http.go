package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/codec"
	"github.com/seed-fbfaa03e/arpc/wire"
)

// HTTP is the door for those who only ask: curl, cron, a serverless back end. A
// POST calls the route that the path names, with a JSON body or none, and is
// answered with JSON: what the handler writes, or {"code", "message", "data"} with
// the status that docs/http.md has for the code. Mount it where its paths should
// begin: mux.Handle("/call/", http.StripPrefix("/call", s.HTTP())), or in gin
// r.POST("/call/*method", gin.WrapH(http.StripPrefix("/call", s.HTTP()))).
//
// The path is the method with its slash, or else without. Methods of the protocol
// and of topics cannot be called, nor routes with a codec of their own that is not
// JSON. Pages of other origins are refused unless AllowOrigins lists them; then they
// may call, and the preflights (CORS) of their browsers are answered. Who asks is found out as everywhere: HandleAuthenticate gets the
// request, and the bearer token of its Authorization header.
//
// To a handler the client behind a request lives until the answer. Its Get, Set,
// Identity, Request, RemoteAddr, Done and Stop are as usual; what would be sent to
// it, by Call, Notify, PushMsg or a Stream, fails with arpc.ErrDetached; no hook
// tells of it, and no broadcast reaches it. Done and the Context end when the
// request does: answered, given up, or after HTTPTimeout.
//
// A body may have Limits.WebSocketBody bytes, and Limits.Inflight requests run at
// once; more of them, and those over MaxLoad, are answered with status 503.
func (s *Server) HTTP() http.Handler {
	d := &httpDoor{server: s, places: make(chan struct{}, s.Handler.Limits().Inflight)}
	return http.HandlerFunc(d.serve)
}

type httpDoor struct {
	server *Server
	places chan struct{} // one for each request that runs
	cross  http.CrossOriginProtection
}

// refusal is why a request gets no further than the door.
type refusal struct {
	status int
	err    *arpc.Error
}

func (d *httpDoor) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if d.server.letOrigin(w, r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.ContentLength != 0 { // net/http would wait for a body that nobody reads before it answers
		w.Header().Set("Connection", "close")
	}
	r, address := d.server.fromProxy(r)
	method, refused := d.admit(r, address != nil)
	if refused == nil {
		refused = d.enter()
	}
	if refused != nil {
		if refused.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		writeError(w, refused.status, refused.err)
		return
	}
	defer func() { <-d.places }()
	ctx, cancel := context.WithTimeout(r.Context(), d.server.cfg.httpTimeout)
	defer cancel()
	answer, err := d.call(ctx, w, r, address, method)
	d.write(w, answer, err)
}

// admit looks at what there is of a request before its body.
func (d *httpDoor) admit(r *http.Request, proxied bool) (method string, refused *refusal) {
	refuse := func(status int, code arpc.Code, format string, args ...any) (string, *refusal) {
		return "", &refusal{status, arpc.Errorf(code, format, args...)}
	}
	if r.Method != http.MethodPost {
		return refuse(http.StatusMethodNotAllowed, arpc.CodeUnimplemented, "only POST calls a method")
	}
	if why := d.server.foreign(r, proxied); why != "" {
		return refuse(http.StatusForbidden, arpc.CodePermissionDenied, "%s", why)
	}
	if !d.server.listed(r) && d.cross.Check(r) != nil {
		return refuse(http.StatusForbidden, arpc.CodePermissionDenied, otherOrigin)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, arpc.CodeInvalidArgument, "the content type must be application/json")
	}
	method, ok := d.methodOf(r.URL.Path)
	if !ok {
		return refuse(http.StatusNotFound, arpc.CodeNotFound, "%s", arpc.ErrMethodNotFound.Message)
	}
	if route, _ := d.server.Handler.RouteOf(method); route.Codec != nil && route.Codec.Name() != codec.JSON.Name() {
		return refuse(http.StatusUnsupportedMediaType, arpc.CodeInvalidArgument, "the bodies of %s are %s, not JSON", method, route.Codec.Name())
	}
	return method, nil
}

// methodOf is the method that a path names. Those of the protocol and those of
// topics belong to a connection.
func (d *httpDoor) methodOf(path string) (method string, ok bool) {
	bare := strings.TrimPrefix(path, "/")
	if strings.HasPrefix(bare, "arpc.") || strings.HasPrefix(bare, "in_") {
		return "", false
	}
	if _, ok := d.server.Handler.RouteOf(bare); ok {
		if _, ok := d.server.Handler.RouteOf(path); !ok {
			return bare, true
		}
	}
	return path, wire.CheckMethod(path) == nil
}

// enter takes a place for a request, which the caller gives back.
func (d *httpDoor) enter() *refusal {
	select {
	case d.places <- struct{}{}:
		return nil
	default:
		return &refusal{http.StatusServiceUnavailable, busy()}
	}
}

func busy() *arpc.Error {
	return &arpc.Error{Code: arpc.CodeUnavailable, Message: "too much under way", Data: []byte(`{"retryAfter":1000}`)}
}

// call makes the call. Who asks is found out before the body is read.
func (d *httpDoor) call(ctx context.Context, w http.ResponseWriter, r *http.Request, address net.Addr, method string) (arpc.Raw, error) {
	e, err := d.server.exchange(ctx, r, address)
	if err != nil {
		return arpc.Raw{}, err
	}
	defer e.close()
	body, err := d.read(w, r)
	if err != nil {
		return arpc.Raw{}, err
	}
	return e.call(method, body)
}

// read reads the body. A string is sent as text, as every client sends strings.
func (d *httpDoor) read(w http.ResponseWriter, r *http.Request) (arpc.Raw, error) {
	limits := d.server.Handler.Limits()
	control := http.NewResponseController(w) // what wraps w may not let us set deadlines
	_ = control.SetReadDeadline(time.Now().Add(limits.Message))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limits.WebSocketBody)))
	if err != nil {
		return arpc.Raw{}, fmt.Errorf("read the body: %w", err)
	}
	_ = control.SetReadDeadline(time.Time{}) // it would end the request, because net/http reads on
	w.Header().Del("Connection")
	body = bytes.TrimSpace(body)
	var text string
	switch {
	case len(body) == 0:
		return arpc.Raw{}, nil
	case !json.Valid(body):
		return arpc.Raw{}, arpc.Errorf(arpc.CodeInvalidArgument, "the body is not JSON")
	case body[0] == '"' && json.Unmarshal(body, &text) == nil:
		return arpc.Raw{Kind: wire.Text, Data: []byte(text)}, nil
	}
	return arpc.Raw{Kind: wire.Value, Data: body}, nil
}

func (d *httpDoor) write(w http.ResponseWriter, answer arpc.Raw, err error) {
	var tooLong *http.MaxBytesError
	var coded *arpc.Error
	switch {
	case err == nil:
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d.server.cfg.httpTimeout))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answerJSON(answer)) // who went away is told nothing
	case errors.As(err, &tooLong):
		writeError(w, http.StatusRequestEntityTooLarge,
			arpc.Errorf(arpc.CodeResourceExhausted, "body over %d bytes", tooLong.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		writeError(w, http.StatusRequestTimeout, arpc.Errorf(arpc.CodeDeadlineExceeded, "the body did not come in time"))
	case errors.As(err, &coded):
		writeError(w, statusOf(coded.Code), coded)
	default:
		writeError(w, http.StatusBadRequest, arpc.Errorf(arpc.CodeInvalidArgument, "the body could not be read"))
	}
}

// answerJSON is an answer as JSON: values as they are, text as a string, bytes in
// base64, as encoding/json has them, and nothing as null.
func answerJSON(answer arpc.Raw) []byte {
	switch {
	case answer.Kind == wire.Text:
		return mustJSON(string(answer.Data))
	case answer.Kind == wire.Bytes:
		return mustJSON(answer.Data)
	case len(answer.Data) == 0:
		return []byte("null")
	case json.Valid(answer.Data):
		return answer.Data
	}
	return mustJSON(string(answer.Data)) // a Raw without a kind
}

// mustJSON encodes what always can be.
func mustJSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}

// errorBody is an error over HTTP.
type errorBody struct {
	Code    arpc.Code       `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func writeError(w http.ResponseWriter, status int, err *arpc.Error) {
	body := errorBody{Code: err.Code, Message: err.Message}
	if json.Valid(err.Data) {
		body.Data = err.Data
	}
	var hint struct{ RetryAfter int64 } // ms
	if json.Unmarshal(body.Data, &hint) == nil && hint.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt((hint.RetryAfter+999)/1000, 10))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(body))
}
