import { expect, test } from "vitest";
import { type Frame, Meter } from "../src/meter.ts";

const [REQUEST, RESPONSE, NOTIFY] = [1, 2, 3];

function frame(cmd: number, method: string, body = "", seq = 1n): Frame {
  return { cmd, flag: 0, method, seq, body: new TextEncoder().encode(body) };
}

test("a request is timed from its way out to its answer", () => {
  const meter = new Meter();
  expect(meter.read(0).roundTrip).toBeUndefined();
  meter.record("out", frame(REQUEST, "/say", "", 7n), 100);
  meter.record("in", frame(REQUEST, "/ask", "", 7n), 101);
  meter.record("in", frame(RESPONSE, "", "", 8n), 102);
  expect(meter.read(102).roundTrip).toBeUndefined();
  meter.record("in", frame(RESPONSE, "", "", 7n), 103.5);
  expect(meter.read(104).roundTrip).toBe(3.5);
});

test("bytes add up, header and all; rates are of the last seconds", () => {
  const meter = new Meter();
  for (let i = 0; i < 10; i++) {
    meter.record("in", frame(NOTIFY, "in_P", "12345"), i);
  }
  meter.record("out", frame(NOTIFY, "ä"), 9);
  expect(meter.read(9).bytes).toEqual({ in: 250, out: 18 });
  expect(meter.read(9).perSecond).toEqual({ in: 2, out: 0.2 });
  expect(meter.read(60_000).perSecond).toEqual({ in: 0, out: 0 });
  expect(meter.read(60_000).bytes.in).toBe(250);
});

test("connections are counted by their hello", () => {
  const meter = new Meter();
  meter.record("out", frame(REQUEST, "arpc.hello"), 0);
  meter.record("in", frame(RESPONSE, "arpc.hello"), 1);
  meter.record("out", frame(REQUEST, "arpc.hello"), 2);
  expect(meter.read(2).connections).toBe(2);
});

test("the last frames are kept in words, newest first", () => {
  const meter = new Meter();
  for (let i = 0; i < 100; i++) {
    meter.record("in", frame(NOTIFY, "in_P", "", BigInt(i)), i);
  }
  const { frames } = meter.read(100);
  expect(frames).toHaveLength(40);
  expect(frames[0]).toMatchObject({
    direction: "in",
    command: "notify",
    method: "in_P",
    seq: "99",
  });
  expect(new Set(frames.map(({ id }) => id)).size).toBe(40);
});

test("a publication is shown with its topic", () => {
  const meter = new Meter();
  const tail = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8];
  const body = new Uint8Array([...new TextEncoder().encode('{"a":1}chat:room'), ...tail]);
  meter.record("in", { ...frame(NOTIFY, "in_P"), body }, 0);
  meter.record("in", { ...frame(NOTIFY, "in_P"), body: new Uint8Array(10).fill(255) }, 0);
  const [broken, whole] = meter.read(0).frames;
  expect(whole).toMatchObject({ method: "in_P chat:room", body: '{"a":1}', size: 46 });
  expect(broken).toMatchObject({ method: "in_P ", body: "" });
});

test("a body is shown as far as it is text, and no secret in it", () => {
  const meter = new Meter();
  const bodies = [
    "a\u0000\u0001b",
    "x".repeat(500),
    '{"secret":"abc","room":"lobby"}',
    '{"session":{"ticket":"id.abc","received":1}}',
    `{"ticket":"${"x".repeat(500)}"}`,
  ];
  for (const body of bodies) {
    meter.record("out", frame(REQUEST, "/m", body), 0);
  }
  meter.record("out", { ...frame(RESPONSE, ""), flag: 1, body: new Uint8Array([0xff]) }, 0);
  const [binary, cut, ticket, secret, long, text] = meter.read(0).frames;
  expect(text?.body).toBe("a·b");
  expect(long?.body).toBe(`${"x".repeat(160)}…`);
  expect(secret?.body).toBe('{"secret":"…","room":"lobby"}');
  expect(ticket?.body).toBe('{"session":{"ticket":"…","received":1}}');
  expect(cut?.body).toBe('{"ticket":"……');
  expect(binary).toMatchObject({ command: "error", body: "·" });
});
