package wire_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/seed-fbfaa03e/arpc/wire"
)

func ExampleAppend() {
	h := wire.Header{Cmd: wire.Request, Seq: 4}
	frame := wire.Append(nil, h, "/echo", []byte("hello"))
	fmt.Println(hex.EncodeToString(frame))
	// Output: 0a0000000001000504000000000000002f6563686f68656c6c6f
}

func ExampleBegin() {
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Flags(0).WithKind(wire.Value)}
	frame := wire.Begin(nil, h, "/at")
	frame = fmt.Appendf(frame, `{"x":%d}`, 7) // encoded in place
	wire.Finish(frame)
	fmt.Printf("%q\n", frame)
	// Output: "\n\x00\x00\x00\x00\x030\x03\x00\x00\x00\x00\x00\x00\x00\x00/at{\"x\":7}"
}

func ExampleDecoder() {
	stream := wire.Append(nil, wire.Header{Cmd: wire.Request, Seq: 1}, "/echo", []byte("hello"))
	stream = wire.Append(stream, wire.Header{Cmd: wire.Ping}, "", nil)
	conn := strings.NewReader(string(stream))

	d := wire.NewDecoder(wire.MaxBody)
	for conn.Len() > 0 {
		n, err := conn.Read(d.Buffer())
		if err != nil {
			log.Fatal(err)
		}
		d.Advance(n)
		for {
			f, ok, err := d.Next()
			if err != nil {
				log.Fatal(err)
			}
			if !ok {
				break
			}
			fmt.Printf("cmd %d seq %d %q %q\n", f.Cmd, f.Seq, f.Method, f.Body)
		}
	}
	// Output:
	// cmd 1 seq 1 "/echo" "hello"
	// cmd 4 seq 0 "" ""
}

func ExampleFrameError() {
	d := wire.NewDecoder(1024)
	d.Advance(copy(d.Buffer(), wire.Header{BodyLen: 4 << 20, Cmd: wire.Request, MethodLen: 5}.Append(nil)))

	_, _, err := d.Next()
	var bad *wire.FrameError
	if errors.As(err, &bad) {
		fmt.Println(bad.Reason, bad.Got, bad.Limit)
	}
	// Output: body_too_long 4194304 1024
}
