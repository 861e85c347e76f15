package server

import (
	"net/http"

	"github.com/seed-fbfaa03e/arpc"
)

// statusClientClosed is what proxies write into their logs for a client that went
// away; it has no name in the standard.
const statusClientClosed = 499

// statuses are what the codes of errors are over HTTP.
var statuses = map[arpc.Code]int{
	arpc.CodeCanceled:           statusClientClosed,
	arpc.CodeUnknown:            http.StatusInternalServerError,
	arpc.CodeInvalidArgument:    http.StatusBadRequest,
	arpc.CodeDeadlineExceeded:   http.StatusGatewayTimeout,
	arpc.CodeNotFound:           http.StatusNotFound,
	arpc.CodeAlreadyExists:      http.StatusConflict,
	arpc.CodePermissionDenied:   http.StatusForbidden,
	arpc.CodeResourceExhausted:  http.StatusTooManyRequests,
	arpc.CodeFailedPrecondition: http.StatusPreconditionFailed,
	arpc.CodeAborted:            http.StatusConflict,
	arpc.CodeOutOfRange:         http.StatusBadRequest,
	arpc.CodeUnimplemented:      http.StatusNotImplemented,
	arpc.CodeInternal:           http.StatusInternalServerError,
	arpc.CodeUnavailable:        http.StatusServiceUnavailable,
	arpc.CodeDataLoss:           http.StatusInternalServerError,
	arpc.CodeUnauthenticated:    http.StatusUnauthorized,
}

// statusOf is the status for a code, also for one that a later version sends.
func statusOf(code arpc.Code) int {
	if status, ok := statuses[code]; ok {
		return status
	}
	return http.StatusInternalServerError
}
