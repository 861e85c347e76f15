import { describe, expect, it } from "vitest";
import { ArpcError, errorCodes, isArpcError } from "../src/index.ts";
import { readTestdata } from "./helpers/vectors.ts";

describe("codes", () => {
  it("are those of the other languages", () => {
    expect([...errorCodes].sort()).toEqual([...(readTestdata("codes.json") as string[])].sort());
  });
});

describe("ArpcError", () => {
  it.each(errorCodes)("carries %s", (code) => {
    const cause = new Error("why");
    const error = new ArpcError(code, "text", { data: [1], sent: true, remote: true, cause });
    expect(error).toMatchObject({ code, message: "text", data: [1], sent: true, remote: true });
    expect(error.cause).toBe(cause);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toBe("ArpcError: text");
  });

  it("is local and unsent unless said", () => {
    expect(new ArpcError("internal", "x")).toMatchObject({ sent: false, remote: false });
  });
});

describe("from", () => {
  it("leaves an ArpcError as it is", () => {
    const error = new ArpcError("aborted", "x");
    expect(ArpcError.from(error)).toBe(error);
  });

  it.each([
    [new DOMException("no", "AbortError"), "canceled", "no"],
    [new DOMException("late", "TimeoutError"), "deadline_exceeded", "late"],
    [new TypeError("odd"), "unknown", "odd"],
    ["text", "unknown", "text"],
    [undefined, "unknown", "undefined"],
    [null, "unknown", "null"],
  ])("%s", (reason, code, message) => {
    expect(ArpcError.from(reason)).toMatchObject({ code, message, cause: reason });
  });
});

describe("isArpcError", () => {
  it("knows one of another copy of the package", () => {
    const foreign = Object.assign(new Error("x"), { name: "ArpcError", code: "internal" });
    expect(isArpcError(foreign)).toBe(true);
    expect(ArpcError.from(foreign)).toBe(foreign);
  });

  it.each([undefined, null, 1, "x", new Error("x"), { name: "ArpcError" }])("not %s", (value) => {
    expect(isArpcError(value)).toBe(false);
  });
});
