package pubsub_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc"
	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
	"github.com/seed-fbfaa03e/arpc/pubsub"
	"github.com/seed-fbfaa03e/arpc/wire"
	"github.com/seed-fbfaa03e/arpc/ws"
)

// BenchmarkFanout publishes 128 bytes to many WebSocket subscribers, 16
// publications in flight, all received. The limit is what the kernel allows:
// bytes framed in advance, a goroutine for each connection that writes
// everything there is at once. Subscribers are in this process and cost the same
// in both.
func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint("hub/", n), func(b *testing.B) { fanout(b, n, newHubFanout) })
		b.Run(fmt.Sprint("limit/", n), func(b *testing.B) { fanout(b, n, newLimitFanout) })
	}
}

const (
	fanoutPayload = 128
	fanoutWindow  = 16
)

// spreader publishes once to everybody.
type spreader interface {
	subscribe(b testing.TB) net.Conn
	publish(b testing.TB)
	frame() int // bytes that each publication is on the wire
}

func fanout(b *testing.B, n int, open func(testing.TB) spreader) {
	s := open(b)
	size := int64(s.frame())
	var received atomic.Int64
	var reading sync.WaitGroup
	var conns []net.Conn
	for range n {
		conn := s.subscribe(b)
		reading.Go(func() {
			buf := make([]byte, 16<<10)
			for {
				read, err := conn.Read(buf)
				if err != nil {
					return
				}
				received.Add(int64(read))
			}
		})
		conns = append(conns, conn)
	}
	b.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
		reading.Wait()
	})
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		for received.Load() < int64(i+1-fanoutWindow)*int64(n)*size {
			time.Sleep(20 * time.Microsecond)
		}
		s.publish(b)
	}
	for received.Load() < int64(b.N)*int64(n)*size {
		time.Sleep(20 * time.Microsecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "deliveries/s")
}

type hubFanout struct {
	hub     *pubsub.Server
	web     *httptest.Server
	payload []byte
}

func newHubFanout(b testing.TB) spreader {
	s := pubsub.NewServer(pubsub.Open(), pubsub.MaxSubscriptions(0))
	web := httptest.NewServer(s.WebSocket())
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		web.Close()
	})
	return &hubFanout{s, web, make([]byte, fanoutPayload)}
}

func (f *hubFanout) subscribe(b testing.TB) net.Conn {
	conn, err := ws.Dial(context.Background(), strings.Replace(f.web.URL, "http", "ws", 1), ws.DialOptions{Limits: arpc.DefaultLimits().WebSocket()})
	if err != nil {
		b.Fatal(err)
	}
	body := binary.LittleEndian.AppendUint16([]byte("t"), 1)
	body = binary.LittleEndian.AppendUint64(body, 0)
	request := wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 1}, "in_S", body)
	if _, err := conn.NetConn().Write(conn.AppendMessage(nil, request)); err != nil {
		b.Fatal(err)
	}
	answer := make([]byte, 2+wire.HeaderLen+len("in_S"))
	for n := 0; n < len(answer); {
		read, err := conn.NetConn().Read(answer[n:])
		if err != nil {
			b.Fatal(err)
		}
		n += read
	}
	return conn.NetConn()
}

func (f *hubFanout) publish(b testing.TB) {
	if _, err := f.hub.Publish("t", f.payload); err != nil {
		b.Fatal(err)
	}
}

func (f *hubFanout) frame() int {
	return 4 + wire.HeaderLen + len("in_P") + fanoutPayload + len("t") + 2 + 8
}

// limitFanout writes bytes, and nothing else.
type limitFanout struct {
	ln    net.Listener
	conns []*limitConn
	bytes []byte
}

type limitConn struct {
	conn net.Conn
	mu   sync.Mutex
	cond sync.Cond
	due  int
	end  bool
}

func newLimitFanout(b testing.TB) spreader {
	ln := arpctest.Listen(b)
	f := &limitFanout{ln: ln}
	f.bytes = make([]byte, f.frame())
	b.Cleanup(func() {
		ln.Close()
		for _, c := range f.conns {
			c.mu.Lock()
			c.end = true
			c.cond.Signal()
			c.mu.Unlock()
			c.conn.Close()
		}
	})
	return f
}

func (f *limitFanout) frame() int { return (&hubFanout{}).frame() }

func (f *limitFanout) subscribe(b testing.TB) net.Conn {
	client, err := net.Dial("tcp", f.ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	conn, err := f.ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	c := &limitConn{conn: conn}
	c.cond.L = &c.mu
	f.conns = append(f.conns, c)
	go c.write(f.bytes)
	return client
}

func (c *limitConn) write(frame []byte) {
	var all []byte
	for {
		c.mu.Lock()
		for c.due == 0 && !c.end {
			c.cond.Wait()
		}
		due, end := c.due, c.end
		c.due = 0
		c.mu.Unlock()
		if end {
			return
		}
		all = all[:0]
		for range due {
			all = append(all, frame...)
		}
		if _, err := c.conn.Write(all); err != nil {
			return
		}
	}
}

func (f *limitFanout) publish(testing.TB) {
	for _, c := range f.conns {
		c.mu.Lock()
		c.due++
		c.cond.Signal()
		c.mu.Unlock()
	}
}
