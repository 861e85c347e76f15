package e2e_test

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1" // RFC 6455 wants it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// webSocket is a client of RFC 6455, as small as it can be: it sends whole
// binary messages and reads those of a connection as one stream.
type webSocket struct {
	net.Conn
	in   *bufio.Reader
	left uint64 // of the payload of the frame being read
}

// closed is the close frame of the other end.
type closed struct {
	code   uint16
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d %q", c.code, c.reason) }

// refused is an answer to a handshake other than 101.
type refused struct{ status int }

func (r *refused) Error() string { return fmt.Sprintf("handshake answered with status %d", r.status) }

func dialWebSocket(address, path, origin string) (*webSocket, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	w := &webSocket{Conn: conn, in: bufio.NewReader(conn)}
	if err := w.handshake(address, path, origin); err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *webSocket) handshake(host, path, origin string) error {
	_ = w.SetDeadline(time.Now().Add(patience))
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", path, host, key)
	if origin != "" {
		head += "Origin: " + origin + "\r\n"
	}
	if _, err := io.WriteString(w.Conn, head+"\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return &refused{answer.StatusCode}
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got := answer.Header.Get("Sec-WebSocket-Accept"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("Sec-WebSocket-Accept %q does not fit the key", got)
	}
	return nil
}

// Write sends one binary message.
func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.send(0x80|2, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes one frame with its own mask.
func (w *webSocket) send(first byte, payload []byte) error {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i%4])
	}
	_, err := w.Conn.Write(b)
	return err
}

// Read reads the payload of data frames.
func (w *webSocket) Read(p []byte) (int, error) {
	for w.left == 0 {
		if err := w.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := w.in.Read(p[:min(uint64(len(p)), w.left)])
	w.left -= uint64(n)
	return n, err
}

// nextFrame reads a header, and handles the frame if it is a control frame.
func (w *webSocket) nextFrame() error {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return err
	}
	if head[0]&0x70 != 0 || head[1]&0x80 != 0 {
		return fmt.Errorf("frame %x: reserved bits, or a masked server", head)
	}
	n, err := w.length(head[1])
	if err != nil {
		return err
	}
	switch opcode := head[0] & 0x0f; opcode {
	case 0, 2:
		w.left = n
		return nil
	case 8, 9, 10:
		return w.control(opcode, n)
	default:
		return fmt.Errorf("frame with opcode %d", opcode)
	}
}

func (w *webSocket) length(short byte) (uint64, error) {
	var b [8]byte
	switch short {
	case 126:
		_, err := io.ReadFull(w.in, b[6:])
		return binary.BigEndian.Uint64(b[:]), err
	case 127:
		_, err := io.ReadFull(w.in, b[:])
		return binary.BigEndian.Uint64(b[:]), err
	}
	return uint64(short), nil
}

func (w *webSocket) control(opcode byte, n uint64) error {
	if n > 125 {
		return errors.New("a long control frame")
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(w.in, payload); err != nil {
		return err
	}
	switch {
	case opcode == 9:
		return w.send(0x80|10, payload)
	case opcode == 8 && n >= 2:
		return &closed{binary.BigEndian.Uint16(payload), string(payload[2:])}
	case opcode == 8:
		return &closed{}
	}
	return nil
}
