package server_test

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-fbfaa03e/arpc/internal/arpctest"
)

// The limits of a message are those of what is on the wire, so a message that grows
// behind them would have none: WebSocket compression is not negotiated, and a
// message that is compressed all the same ends the connection.
func TestWebSocketCompressionIsNotTaken(t *testing.T) {
	h := open(t, nil)
	address := strings.TrimPrefix(h.address("websocket"), "ws://")
	host, path, _ := strings.Cut(address, "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(arpctest.Wait))
	request, err := http.NewRequest(http.MethodGet, "http://"+host+"/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key":        "dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
	} {
		request.Header.Set(name, value)
	}
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("%s, extensions %q", answer.Status, answer.Header.Get("Sec-WebSocket-Extensions"))
	}
	const compressed, binary, last, masked = 0x40, 0x02, 0x80, 0x80
	if _, err := conn.Write([]byte{last | compressed | binary, masked | 4, 0, 0, 0, 0, 1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4)
	for _, err := in.Read(head[:1]); err == nil && head[0] != last|0x08; _, err = in.Read(head[:1]) { // up to the close frame
	}
	if _, err := in.Read(head[1:]); err != nil || int(head[2])<<8|int(head[3]) != 1002 {
		t.Errorf("closed with % x, %v", head, err)
	}
}
