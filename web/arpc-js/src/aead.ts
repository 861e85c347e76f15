/**
 * Encryption of frames with AES-256-GCM of WebCrypto, byte for byte as the Go package `coder/aead`,
 * whose documentation says what it is for and what it is not.
 *
 *     client.useCoder(aead(key)); // behind gzip(), if both are used
 *
 * @module
 */

import type { Coder } from "./coder.ts";
import { FrameError, HEADER_LENGTH } from "./wire.ts";

const BIT = 0x40;
const KEY_LENGTH = 32;
const NONCE_LENGTH = 12;
const OVERHEAD = NONCE_LENGTH + 16;
/** Where the bytes that stay readable begin, and where they end. */
const CLEAR = 4;
const SECRET = 8;
/** How many random nonces a key is good for. */
const MAX_FRAMES = 2 ** 32;

/**
 * A key of 32 random bytes, never a password; or one of WebCrypto for AES-GCM, which need not be
 * extractable.
 */
export type AeadKey = Uint8Array | CryptoKey;

/**
 * Makes a coder that encrypts every frame but pings and pongs, hello included. A frame that is not
 * encrypted ends the connection. Give it to `client.useCoder`.
 * @param key encrypts, and decrypts.
 * @param previous decrypt too, while a key is replaced.
 * @throws RangeError when a key has not 32 bytes.
 */
export function aead(key: AeadKey, ...previous: readonly AeadKey[]): Coder {
  const keys = [key, ...previous].map(imported);
  let frames = 0;
  return {
    name: "aead",
    bit: BIT,
    always: true,
    async encode(frame): Promise<Uint8Array> {
      if (++frames > MAX_FRAMES) throw new Error("encrypt: the key has had 2^32 frames");
      const iv = crypto.getRandomValues(new Uint8Array(NONCE_LENGTH));
      const additionalData = frame.slice(CLEAR, SECRET);
      additionalData[0] = (additionalData[0] ?? 0) | BIT;
      const secret = await crypto.subtle.encrypt(
        { name: "AES-GCM", iv, additionalData },
        (await keys[0]) as CryptoKey,
        frame.slice(SECRET),
      );
      return joined(additionalData, iv, new Uint8Array(secret));
    },
    async decode(frame, limit): Promise<Uint8Array> {
      const length = frame.length - OVERHEAD - HEADER_LENGTH;
      if (length < 0) throw new FrameError("truncated");
      if (length > limit) throw new FrameError("body_too_long");
      const additionalData = frame.slice(CLEAR, SECRET);
      const iv = frame.slice(SECRET, SECRET + NONCE_LENGTH);
      const secret = frame.slice(SECRET + NONCE_LENGTH);
      for (const each of keys) {
        const plain = await opened({ name: "AES-GCM", iv, additionalData }, await each, secret);
        if (plain) {
          additionalData[0] = (additionalData[0] ?? 0) & ~BIT;
          return joined(additionalData, new Uint8Array(plain));
        }
      }
      throw new Error("decrypt: no key fits");
    },
  };
}

/** What was encrypted, or undefined when the key does not fit. */
function opened(
  how: AesGcmParams,
  key: CryptoKey,
  secret: Uint8Array<ArrayBuffer>,
): Promise<ArrayBuffer | undefined> {
  return crypto.subtle.decrypt(how, key, secret).catch(() => undefined);
}

/** A key as WebCrypto takes it. It fails where it is used. */
function imported(key: AeadKey): Promise<CryptoKey> {
  if (!(key instanceof Uint8Array)) return Promise.resolve(key);
  if (key.length !== KEY_LENGTH) {
    throw new RangeError(`encrypt: a key of ${key.length} bytes, it must have ${KEY_LENGTH}`);
  }
  const made = crypto.subtle.importKey("raw", key.slice(), "AES-GCM", false, [
    "encrypt",
    "decrypt",
  ]);
  made.catch(() => {}); // told by the first frame
  return made;
}

/** A frame of the pieces behind its length. */
function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  const length = pieces.reduce((sum, piece) => sum + piece.length, CLEAR);
  const frame = new Uint8Array(length);
  new DataView(frame.buffer).setUint32(0, length - HEADER_LENGTH, true);
  let at = CLEAR;
  for (const piece of pieces) {
    frame.set(piece, at);
    at += piece.length;
  }
  return frame;
}
