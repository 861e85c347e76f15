// Package pubsub is publish and subscribe over arpc: a Hub that mounts on any
// Handler, a Server that is a server.Server with a Hub, and a Client.
//
// A topic is a log. A subscription is a place in it, so a subscriber that reads
// slowly lags behind, holds up nobody, and catches up when it can. A publication
// is encoded once, and every subscriber's connection shares those bytes.
//
// The base routes of the original are spoken, so its clients meet ours in the
// same topics: in_A authenticates with a password, in_S subscribes, in_U
// unsubscribes, in_P publishes and in_P1 publishes to one. A publication comes
// as a notify of in_P.
package pubsub
