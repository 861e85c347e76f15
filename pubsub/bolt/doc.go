// Package bolt is a broker that keeps topics in one file: they outlive the
// server, with nothing to install. For a client a restart is one more reconnect:
// it comes back with its position and gets what it missed.
//
//	b, err := bolt.Open("topics.db")
//	if err != nil {
//		return err
//	}
//	s := pubsub.NewServer(pubsub.Open(), pubsub.WithBroker(b)) // closes b in the end
//
// # What is guaranteed
//
// A publication that was acknowledged, and one that was delivered to anybody, is
// in the file and stays there until the topic's retention drops it: whatever
// happens to the process, and, unless [NeverSync] is set, to the machine. So are
// the epoch, the offsets, and the keys of publications as long as their settings
// say. Publications that come while the disk is busy are written together with
// one sync.
//
// A file that is damaged is not served: every record has a checksum, Open reads
// all of them, and refuses with [ErrDamaged], or begins anew if [StartOver] says
// so. Where the file may have lost its end, topics get new epochs, so that
// clients are told.
//
// # Goroutines
//
// One, the committer, writes. It takes what publishers left in the queue, writes
// it in one transaction, and only then delivers it and tells the publishers. A
// second copies the file while it is compacted.
//
// # Locks
//
// Broker.mu guards which topics there are and is taken before topic.mu, which
// guards where one stands and who follows it. A follower's is taken last.
package bolt
