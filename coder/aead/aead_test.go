package aead_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"testing"

	"github.com/seed-fbfaa03e/arpc/coder/aead"
	"github.com/seed-fbfaa03e/arpc/wire"
)

func key(first byte) []byte { return append([]byte{first}, make([]byte, aead.KeyLen-1)...) }

func coder(t testing.TB, key []byte, previous ...[]byte) *aead.Coder {
	t.Helper()
	c, err := aead.New(key, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func frame(body string) []byte {
	h := wire.Header{Cmd: wire.Notify, Flags: wire.Flags(0).WithKind(wire.Text), Seq: 7}
	return wire.Append(nil, h, "/secret", []byte(body))
}

func encode(t testing.TB, c *aead.Coder, f []byte) []byte {
	t.Helper()
	out, err := c.Encode(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFramesComeBack(t *testing.T) {
	c := coder(t, key(1))
	for _, n := range []int{0, 1, 1000, 1 << 20} {
		want := frame(strings.Repeat("x", n))
		mine := bytes.Clone(want)
		out, err := c.Encode([]byte("before"), want)
		if err != nil || !bytes.HasPrefix(out, []byte("before")) {
			t.Fatal(err)
		}
		out = out[len("before"):]
		sent := bytes.Clone(out)
		if len(out) != len(want)+aead.Overhead || int(wire.ParseHeader(out).BodyLen) != len(out)-wire.HeaderLen {
			t.Errorf("%d: %d bytes, length %d", n, len(out), wire.ParseHeader(out).BodyLen)
		}
		if bytes.Contains(out, []byte("secret")) || n > 10 && bytes.Contains(out, []byte("xxxxxx")) {
			t.Errorf("%d: it can be read", n)
		}
		got, err := c.Decode([]byte("before"), out, wire.MaxBody)
		if err != nil || !bytes.Equal(got[len("before"):], want) {
			t.Errorf("%d: %v", n, err)
		}
		if !bytes.Equal(mine, want) || !bytes.Equal(sent, out) {
			t.Error("a frame was changed in place")
		}
	}
}

// The framing, made without the coder: what another implementation has to make. The
// recorded bytes are those of WebCrypto in Node.
func TestBytesAreThoseOfTheRule(t *testing.T) {
	want := frame("hello")
	block, err := aes.NewCipher(key(1))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(want[4:8])
	data[0] |= 0x40
	nonce := []byte("twelve bytes")
	theirs := append(bytes.Clone(want[:4]), data...)
	theirs = append(theirs, nonce...)
	theirs = gcm.Seal(theirs, nonce, want[8:], data)
	wire.Finish(theirs)
	const recorded = "28000000400310077477656c76652062797465732f49eea1a686a040" +
		"b434a1abb042157c1bc0577d959c31fa43e7f43294ffcaad37d2a4ab"
	if got := hex.EncodeToString(theirs); got != recorded {
		t.Errorf("the rule gives\n%s, WebCrypto\n%s", got, recorded)
	}
	if got, err := coder(t, key(1)).Decode(nil, theirs, wire.MaxBody); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v", err)
	}
}

func TestEveryBitIsGuarded(t *testing.T) {
	c := coder(t, key(1))
	good := encode(t, c, frame("hello"))
	for bit := 4 * 8; bit < 8*len(good); bit++ { // the length is the reader's affair
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, err := c.Decode([]byte("before"), bad, wire.MaxBody); err == nil || string(got) != "before" {
			t.Errorf("bit %d: taken", bit)
		}
	}
	for n := range good {
		if _, err := c.Decode(nil, good[:n], wire.MaxBody); err == nil {
			t.Errorf("%d of its bytes: taken", n)
		}
	}
	if _, err := c.Decode(nil, frame(strings.Repeat("plain", 20)), wire.MaxBody); err == nil {
		t.Error("a frame that is not encrypted: taken")
	}
}

func TestKeys(t *testing.T) {
	before, after := coder(t, key(1)), coder(t, key(2), key(1))
	old, fresh := encode(t, before, frame("old")), encode(t, after, frame("new"))
	for _, f := range [][]byte{old, fresh} {
		if _, err := after.Decode(nil, f, wire.MaxBody); err != nil {
			t.Errorf("with both keys: %v", err)
		}
	}
	if _, err := before.Decode(nil, fresh, wire.MaxBody); err == nil {
		t.Error("a key decrypted what another had encrypted")
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := aead.New(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes: taken", n)
		}
		if _, err := aead.New(key(1), make([]byte, n)); err == nil {
			t.Errorf("a previous key of %d bytes: taken", n)
		}
	}
}

func TestKeyIsUsedUp(t *testing.T) {
	c := coder(t, key(1))
	c.UseUp()
	last := encode(t, c, frame("the last"))
	if _, err := c.Encode(nil, frame("one more")); !errors.Is(err, aead.ErrKeyUsedUp) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Decode(nil, last, wire.MaxBody); err != nil {
		t.Errorf("it still decrypts: %v", err)
	}
}

func TestLimitFromBothSides(t *testing.T) {
	c := coder(t, key(1))
	f := frame("hello")
	out := encode(t, c, f)
	body := len(f) - wire.HeaderLen
	if _, err := c.Decode(nil, out, body); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	var tooLong *wire.FrameError
	if _, err := c.Decode(nil, out, body-1); !errors.As(err, &tooLong) || tooLong.Reason != wire.BodyTooLong {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := c.Encode(nil, f[:10]); err == nil {
		t.Error("it encoded what is no frame")
	}
}

func TestNoncesDiffer(t *testing.T) {
	c := coder(t, key(1))
	shared := frame("to all")
	var mu sync.Mutex
	nonces := map[string]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				out, err := c.Encode(nil, shared)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				nonces[string(out[8:20])] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(nonces) != 800 {
		t.Errorf("%d nonces for 800 frames", len(nonces))
	}
}

func FuzzDecode(f *testing.F) {
	c := coder(f, key(1))
	f.Add(encode(f, c, frame("")))
	f.Add(encode(f, c, frame(strings.Repeat("fuzz", 100))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := c.Decode(nil, raw, 4096)
		if err == nil && (len(got) > wire.HeaderLen+4096 || got[4]&aead.Bit != 0) {
			t.Errorf("%d bytes: %x", len(got), got)
		}
	})
}

func ExampleNew() {
	secret := make([]byte, aead.KeyLen) // from a secret store
	if _, err := rand.Read(secret); err != nil {
		log.Fatal(err)
	}
	c, err := aead.New(secret)
	if err != nil {
		log.Fatal(err)
	}
	f := wire.Append(nil, wire.Header{Cmd: wire.Notify}, "/news", []byte("for you alone"))
	onTheWire, err := c.Encode(nil, f)
	fmt.Println(bytes.Contains(onTheWire, []byte("alone")), err)
	back, err := c.Decode(nil, onTheWire, wire.MaxBody)
	fmt.Println(bytes.Equal(back, f), err)
	// Output:
	// false <nil>
	// true <nil>
}
