package arpc

import (
	"context"
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is. The set is closed and the same
// in every language.
type Code string

// The codes.
const (
	CodeCanceled           Code = "canceled"            // the caller gave up
	CodeUnknown            Code = "unknown"             // the peer sent a text without a code
	CodeInvalidArgument    Code = "invalid_argument"    // the request is wrong whatever the state
	CodeDeadlineExceeded   Code = "deadline_exceeded"   // no answer in time
	CodeNotFound           Code = "not_found"           // no such method or thing
	CodeAlreadyExists      Code = "already_exists"      // it is there already
	CodePermissionDenied   Code = "permission_denied"   // known, and not allowed
	CodeResourceExhausted  Code = "resource_exhausted"  // a limit was reached; the message names it
	CodeFailedPrecondition Code = "failed_precondition" // not in this state
	CodeAborted            Code = "aborted"             // a conflict; retrying the whole may help
	CodeOutOfRange         Code = "out_of_range"        // past the end
	CodeUnimplemented      Code = "unimplemented"       // known, but not supported here
	CodeInternal           Code = "internal"            // a fault of the responder; details are in its log
	CodeUnavailable        Code = "unavailable"         // no connection, or the peer is going away
	CodeDataLoss           Code = "data_loss"           // something is gone for good
	CodeUnauthenticated    Code = "unauthenticated"     // not known who asks
)

// Error is a failure with a code. What a handler puts into Message is shown to
// the peer; what it wraps is not.
type Error struct {
	// Code says what kind of failure it is.
	Code Code
	// Message is for people; the peer sees it.
	Message string
	// Data is JSON that goes with the error, to and from peers that agreed to
	// errors with codes; nil otherwise.
	Data []byte
	// Sent is set on errors of a call: true if the request may have reached
	// the peer, false if it certainly did not.
	Sent bool

	remote bool
	cause  error
}

// Errorf returns an Error with a formatted message. A %w verb keeps the cause
// for errors.Is, without showing more of it than the message does.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error is the code and the message, or the message alone if there is no code.
func (e *Error) Error() string {
	if e.Code == CodeUnknown || e.Code == "" {
		return e.Message
	}
	return string(e.Code) + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Remote reports whether the peer said so, as opposed to this side having
// concluded it.
func (e *Error) Remote() bool { return e.remote }

// Is matches an Error with the same code and message, wherever each was made.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == e.Message
}

// CodeOf is the code of err: that of the Error it is or wraps, that of a
// context error, and CodeUnknown for any other. The code of nil is "".
func CodeOf(err error) Code {
	var coded *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &coded):
		return coded.Code
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadlineExceeded
	}
	return CodeUnknown
}

// Errors that callers compare with errors.Is.
var (
	// ErrMethodNotFound answers a request that no route takes.
	ErrMethodNotFound = &Error{Code: CodeNotFound, Message: "method not found"}
	// ErrStopped is returned by a client after Stop.
	ErrStopped = &Error{Code: CodeUnavailable, Message: "client stopped"}
	// ErrDisconnected is returned for what a lost connection took with it.
	ErrDisconnected = &Error{Code: CodeUnavailable, Message: "connection lost"}
	// ErrTimeout is returned when a timeout passes before the answer arrives.
	ErrTimeout = &Error{Code: CodeDeadlineExceeded, Message: "timeout"}
	// ErrOverstock is returned when the send queue stays full.
	ErrOverstock = &Error{Code: CodeResourceExhausted, Message: "send queue full"}
	// ErrAnswered is returned by the second answer to one request.
	ErrAnswered = &Error{Code: CodeFailedPrecondition, Message: "request already answered"}
	// ErrNotRequest is returned by an answer to a notify.
	ErrNotRequest = &Error{Code: CodeFailedPrecondition, Message: "a notify has no answer"}

	// ErrUnauthenticated answers what a peer asks before it said who it is.
	ErrUnauthenticated = &Error{Code: CodeUnauthenticated, Message: "not authenticated"}
	// ErrDetached is returned for what is sent to a peer that only asks, as those do
	// that come over HTTP.
	ErrDetached = &Error{Code: CodeFailedPrecondition, Message: "the peer takes nothing but answers"}

	errInternal = &Error{Code: CodeInternal, Message: "internal error"}
	errCanceled = &Error{Code: CodeCanceled, Message: "canceled by the caller"}
	errDraining = &Error{Code: CodeUnavailable, Message: "shutting down"}
	errRestart  = &Error{Code: CodeUnavailable, Message: "client restarted"}
	errGoaway   = &Error{Code: CodeUnavailable, Message: "the server asked for it"}
	errUnread   = &Error{Code: CodeResourceExhausted, Message: "answers are not read"}
	errOverrun  = &Error{Code: CodeResourceExhausted, Message: "inbound queue full"}
)

// remoteError is what a peer's error text means.
func remoteError(text string) *Error {
	if text == ErrMethodNotFound.Message {
		return &Error{Code: CodeNotFound, Message: text, Sent: true, remote: true}
	}
	return &Error{Code: CodeUnknown, Message: text, Sent: true, remote: true}
}

// wireText is the text of an error as the base protocol carries it.
func wireText(err error) string {
	var coded *Error
	if errors.As(err, &coded) {
		return coded.Message
	}
	return err.Error()
}

// withSent is a copy of e that says whether the request may have left, and what happened.
func (e *Error) withSent(sent bool, cause error) *Error {
	c := *e
	c.Sent, c.cause = sent, cause
	return &c
}
