// Package arpc is a peer of the arpc protocol: both ends of a connection call,
// notify and are called. A [Handler] has the routes, a [Client] is one peer as
// the application holds it, on the side that dialed and on the side that accepted.
// Package server accepts connections, package pubsub adds topics.
//
// # Path of a frame
//
// In: socket -> conn.read -> wire.Decoder -> conn.dispatch -> the pending call
// it answers, or the route it is for: at once on the reading goroutine (Inline),
// or through the inbox to a worker -> Context -> handlers.
//
// Out: Context.Write, Client.Call, Client.Notify -> value to bytes, in a pooled
// buffer -> outbox.append, which wraps the frame for the transport -> one write
// with everything else that is there. A Source is pulled from when the socket
// has room.
//
// # Goroutines
//
// A connection has one goroutine that reads. There is no writer: whoever sends
// and finds the outbox idle writes, without blocking, and a goroutine (drain)
// takes over only while the socket is full. Handlers run on workers that all
// connections of a Handler share and that end with the last of them. A dialed
// client has one more goroutine, which makes the next connection when one died.
// Publishers wake connections through the flushers of the Handler, which exist
// while there is something to flush.
//
// # Who owns a buffer
//
// Bytes change hands twice. Reader to handler: the body of an Inline handler
// points into the read buffer and holds until it returns; every other body is a
// copy that belongs to the Context. Handler to outbox: what is sent is copied
// into the outbox before the call returns, and the caller's bytes are its own
// again. A [Message] is immutable and shared by all who send it.
//
// # Lock order
//
// conn.mu, Client.mu and inbox.mu are never held together. Under them are taken,
// one at a time, the leaves: outbox.mu, pending.mu, keepalive.mu, Context.mu and
// the locks of workers, flushers and the hook queue. streams.mu is taken before
// Stream.mu. No lock is held while code of the application runs, and none while
// something is written. Connected, disconnected and state hooks of a client run
// one after the other on the goroutine of its hook queue.
package arpc
