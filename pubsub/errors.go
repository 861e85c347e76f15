package pubsub

import (
	"errors"

	"github.com/seed-fbfaa03e/arpc"
)

// Errors that requests are answered with.
var (
	errRefused         = arpc.Errorf(arpc.CodePermissionDenied, "pub/sub is not open here")
	errDenied          = arpc.Errorf(arpc.CodePermissionDenied, "not allowed")
	errUndecided       = arpc.Errorf(arpc.CodeUnavailable, "not decided in time")
	errGivenUp         = arpc.Errorf(arpc.CodeCanceled, "nobody waits for the answer")
	errKicked          = arpc.Errorf(arpc.CodePermissionDenied, "sent out of the topic")
	errUnauthenticated = arpc.Errorf(arpc.CodeUnauthenticated, "not authenticated")
	errPassword        = arpc.Errorf(arpc.CodeUnauthenticated, "wrong password")
	errClosed          = arpc.Errorf(arpc.CodeUnavailable, "pub/sub is closed")
	errBroker          = arpc.Errorf(arpc.CodeUnavailable, "the broker is away")
)

// shown is err as a client may see it: itself if it was made for that.
func shown(err error, instead *arpc.Error) error {
	var coded *arpc.Error
	if errors.As(err, &coded) {
		return coded
	}
	return instead
}

// asError is an error that was made for clients.
func asError(err error) *arpc.Error {
	var coded *arpc.Error
	if errors.As(err, &coded) {
		return coded
	}
	return errBroker
}
