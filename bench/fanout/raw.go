package fanout

import (
	"encoding/binary"
	"net"
	"runtime"
	"sync"

	"github.com/gorilla/websocket"
)

// rawCoalesced and rawEach are the limits of the transport: a publication is
// framed once, and each connection has a goroutine that does nothing but write.
var (
	rawCoalesced = Contender{
		Name: "raw-coalesced", About: "the limit: bytes framed once, a goroutine for each connection that writes all that waits at once",
		New:      func() Publisher { return &rawServer{together: true} },
		Protocol: plain,
	}
	rawEach = Contender{
		Name: "raw", About: "the limit for one publication at a time: the same with one write for each",
		New:      func() Publisher { return &rawServer{} },
		Protocol: plain,
	}
)

type rawServer struct {
	together bool // what waits for a connection leaves in one write

	mu      sync.Mutex
	writers []*rawWriter
}

func (s *rawServer) Serve(ln net.Listener) error {
	return serveUpgraded(ln, func(conn *websocket.Conn) {
		w := &rawWriter{conn: conn.NetConn(), together: s.together, wake: make(chan struct{}, 1)}
		w.put(frameOf(welcome))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writers = append(s.writers, w)
		go w.run()
	})
}

func (s *rawServer) Publish(text []byte) error {
	frame := frameOf(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writers {
		w.put(frame)
	}
	return nil
}

// frameOf is a text message of a server, of up to 64 KiB.
func frameOf(text []byte) []byte {
	const fin = 0x80
	frame := []byte{fin | websocket.TextMessage}
	if n := len(text); n <= 125 {
		frame = append(frame, byte(n))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(n))
	}
	return append(frame, text...)
}

// rawWriter is a queue, and a goroutine that writes what is in it.
type rawWriter struct {
	conn     net.Conn
	together bool
	joined   []byte // frames for one write
	wake     chan struct{}

	mu    sync.Mutex
	queue [][]byte
}

func (w *rawWriter) put(frame []byte) {
	w.mu.Lock()
	w.queue = append(w.queue, frame)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

// take is what waits; done is what was taken before, whose memory is used again.
func (w *rawWriter) take(done [][]byte) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := w.queue
	w.queue = done[:0]
	return waiting
}

// run writes until the connection fails.
func (w *rawWriter) run() {
	defer w.conn.Close()
	write := w.writeEach
	if w.together {
		write = w.writeTogether
	}
	var frames [][]byte
	for range w.wake {
		if w.together {
			runtime.Gosched() // whoever is about to publish goes first: more leaves at once
		}
		frames = w.take(frames)
		if err := write(frames); err != nil {
			return
		}
	}
}

func (w *rawWriter) writeEach(frames [][]byte) error {
	for _, f := range frames {
		if _, err := w.conn.Write(f); err != nil {
			return err
		}
	}
	return nil
}

func (w *rawWriter) writeTogether(frames [][]byte) error {
	w.joined = w.joined[:0]
	for _, f := range frames {
		w.joined = append(w.joined, f...)
	}
	_, err := w.conn.Write(w.joined)
	return err
}
