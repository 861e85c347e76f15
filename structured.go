package arpc

import (
	"encoding/json"
	"errors"
)

// structuredError is the body of an error that has a code.
type structuredError struct {
	Code    Code            `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// structured is err as it goes to a peer that knows codes.
func structured(err error) structuredError {
	var coded *Error
	if !errors.As(err, &coded) {
		return structuredError{Code: CodeUnknown, Message: err.Error()}
	}
	code := coded.Code
	if code == "" {
		code = CodeUnknown
	}
	s := structuredError{Code: code, Message: coded.Message}
	if json.Valid(coded.Data) {
		s.Data = coded.Data
	}
	return s
}

// remoteStructured is what such a body means. One that cannot be read is the
// peer's fault and says so.
func remoteStructured(body []byte) *Error {
	var s structuredError
	if json.Unmarshal(body, &s) != nil || s.Code == "" {
		return &Error{Code: CodeUnknown, Message: "an error that could not be read", Sent: true, remote: true}
	}
	return &Error{Code: s.Code, Message: s.Message, Data: s.Data, Sent: true, remote: true}
}
