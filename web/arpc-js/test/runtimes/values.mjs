// The values of the table, and how they are compared with what came.

/** The body that a value of the table stands for, the i-th time. */
export function bodyOf({ text, hex, json, number, times = 1 }, i = 0) {
  if (number) return i;
  if (text !== undefined) return text.repeat(times);
  if (hex !== undefined)
    return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return json;
}

/** @throws Error when a body is not the i-th of a value. */
export function expectBody(got, value, i) {
  expectSame(got, bodyOf(value, i));
}

/** @throws Error when two values do not say the same. */
export function expectSame(got, wanted) {
  if (!isSame(got, wanted)) throw new Error(`got ${show(got)}, not ${show(wanted)}`);
}

/** @throws Error when an error is not the one that is wanted, as far as that is given. */
export function expectError(error, wanted) {
  for (const [name, value] of Object.entries(wanted)) {
    if (isSame(error[name], value)) continue;
    throw new Error(`${name} ${show(error[name])}, not ${show(value)}, of ${describe(error)}`);
  }
}

/** What a promise resolves with; undefined if it is to reject with an error, and does. */
export async function expectResult(result, error) {
  if (error === undefined) return result;
  const reason = await result.then(
    (got) => new Error(`no error: ${show(got)}`),
    (error) => error,
  );
  expectError(reason, error);
}

/** In words. */
export function describe(error) {
  const { code = "", message } = error;
  return `${code} ${message}`.trim();
}

function isSame(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return false;
  if (Object.getPrototypeOf(a).constructor !== Object.getPrototypeOf(b).constructor) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => isSame(a[key], b[key]));
}

function show(value) {
  const text = value instanceof Uint8Array ? `bytes ${value}` : JSON.stringify(value);
  return String(text).slice(0, 90);
}
