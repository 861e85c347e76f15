// Package e2e has tests that know the project from outside only: they build the
// demo's binary and talk to it with a peer of their own, which was written from
// the table of the frame header and from RFC 6455 and shares no code with the
// project. What was recorded from the original is replayed in both roles.
package e2e
