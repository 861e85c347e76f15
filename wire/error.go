package wire

import "fmt"

// Reason says which rule a frame broke. The values are the same in every language.
type Reason string

// The reasons for which a frame is refused.
const (
	BodyTooLong      Reason = "body_too_long"     // bodyLen is over the limit of the receiver
	MethodOverrun    Reason = "method_overrun"    // methodLen is over bodyLen
	MethodTooLong    Reason = "method_too_long"   // methodLen is over 127
	MethodMissing    Reason = "method_missing"    // the command needs a method
	MethodUnexpected Reason = "method_unexpected" // the command has no method
	MethodNotUTF8    Reason = "method_not_utf8"   // the method is not valid UTF-8
	FlagsInvalid     Reason = "flags_invalid"     // a structured body that is not an error
	StreamZero       Reason = "stream_zero"       // the id of a stream is never 0
	CoderUnknown     Reason = "coder_unknown"     // a coder transformed the frame that the receiver does not have
	Truncated        Reason = "truncated"         // fewer or more bytes than the header says
)

// FrameError is a frame that cannot be accepted. Whoever received it has lost
// the frame boundaries and closes the connection.
type FrameError struct {
	// Reason is the rule that was broken.
	Reason Reason
	// Got is the offending number, Limit the bound it broke; both may be zero.
	Got, Limit uint64
}

// Error names the rule, and the limit where there is one.
func (e *FrameError) Error() string {
	if e.Limit != 0 {
		return fmt.Sprintf("bad frame: %s: %d, limit %d", e.Reason, e.Got, e.Limit)
	}
	return "bad frame: " + string(e.Reason)
}
