import { createBackoff } from "./backoff.ts";
import { decodeObject, type Members } from "./codec.ts";
import { type Conn, openConn } from "./conn.ts";
import { type Engine, ready } from "./engine.ts";
import { ArpcError, isArpcError } from "./errors.ts";
import { CAPABILITIES, type Hello, positive } from "./hello.ts";
import { BASE_MEMORY, HELLO_TIMEOUT, MIN_REFRESH, RENEWAL } from "./limits.ts";
import type { ClientState, StateDetail } from "./options.ts";
import { CLOSE_SILENT, type SocketConstructor } from "./socket.ts";
import { checked } from "./structured.ts";
import { createTimer } from "./timer.ts";
import { askOnce } from "./token.ts";

/** Keeps a client connected: makes a connection, and another one whenever it is lost. */
export interface Link {
  /** Connects: at once, or when there is a token. Never rejects. */
  dial(): Promise<void>;
  /** Ends it for good, and leaves no timer. */
  close(): void;
}

/** Makes the link of a client, which does not dial yet. */
export function createLink(engine: Engine, Socket: SocketConstructor): Link {
  const { url, settings, parts, report } = engine;
  const { token } = settings;
  const nextWait = createBackoff(settings.backoff);
  const ask = token === undefined ? undefined : askOnce(token, settings.connectTimeout);
  // Of the wait between dials, and of the server's patience with one that leaves.
  const timer = createTimer();
  const renewal = createTimer();
  // When the connection was opened; 0 if it is not open.
  let openedAt = 0;
  // Until when hello is not said, because it would not be answered.
  let baseUntil = 0;
  // Whether hello was ever answered: a server that did is only slow when it does not.
  let wasAnswered = false;

  /** Leaves no timer and no connection. */
  const stop = (): void => {
    timer();
    renewal();
    engine.conn?.hangUp();
    engine.conn = engine.awayFor = undefined;
  };
  /** The only place the state changes. */
  const setState = (state: ClientState, detail: StateDetail = {}): void => {
    if (state === engine.state) return;
    openedAt = state === "open" ? performance.now() : 0;
    engine.state = state;
    engine.detail = detail;
    if (state !== "connecting") engine.obstacle = detail.error;
    engine.changed();
  };
  const say = (token: string | undefined): Hello => {
    const said = {
      caps: [...CAPABILITIES],
      coders: [],
      codec: settings.codec.name,
      token,
      window: 0,
    };
    for (const part of parts) part.say?.(said);
    return said;
  };

  const open = (token: string | undefined): void => {
    const mayFallBack = settings.hello === "auto" && !token && !engine.session?.isHeld();
    const isSaid = settings.hello !== "never" && !(mayFallBack && performance.now() < baseUntil);
    engine.conn = openConn(
      new Socket(url),
      engine,
      isSaid ? () => say(token) : undefined,
      mayFallBack,
      greet,
      (reason, isDeaf) => {
        const isBase = isDeaf && !wasAnswered;
        if (isBase) baseUntil = performance.now() + BASE_MEMORY;
        lost(reason, isBase ? 0 : undefined);
      },
    );
  };
  /** Opens the connection: at once, if nothing must be done before. Never rejects. */
  const greet = async (conn: Conn): Promise<void> => {
    try {
      for (const part of parts) {
        const greeting = part.greet?.(conn);
        if (greeting !== undefined) await greeting;
      }
      if (conn !== engine.conn) return;
      wasAnswered ||= !!conn.helloAnswer;
      renewIn(conn.helloAnswer, conn);
      setState("open");
    } catch (error) {
      conn.hangUp(CLOSE_SILENT, ArpcError.from(error));
    }
  };
  const lost = (error: ArpcError, wait?: number): void => {
    const uptime = openedAt && performance.now() - openedAt;
    const delay = wait ?? Math.ceil(Math.max(engine.awayFor ?? 0, nextWait(uptime)));
    stop();
    timer(delay, dial);
    setState("waiting", { error, delay });
    // The others are the network's doing, and the state event tells those. A listener may have
    // closed the client.
    if (error.code !== "unavailable" && engine.state === "waiting") report(error);
  };
  const leave = (delay?: number, why = "the server left"): void => {
    if (delay === undefined) engine.session?.quit();
    lost(new ArpcError("unavailable", why), delay);
  };

  /**
   * Shows a new token when most of the life of this one is over. If that fails the connection ends
   * when the old token does, and the next one shows a new one.
   */
  const renewIn = (answer: Members | undefined, conn: Conn): void => {
    const expires = positive(answer?.["expires"], 0);
    if (!(expires && ask && conn === engine.conn)) return;
    renewal(Math.max(expires * RENEWAL, MIN_REFRESH), async () => {
      try {
        const payload = engine.toPayload(await ask(renewal));
        const options = { timeout: HELLO_TIMEOUT, conn, outside: true };
        const answer = checked(await engine.request("arpc.token", payload, options));
        renewIn(decodeObject(answer.body), conn);
      } catch (error) {
        if (conn === engine.conn) report(error);
      }
    });
  };

  const dial = async (): Promise<void> => {
    stop();
    setState("connecting");
    // A listener may have closed the client.
    if (engine.state !== "connecting") return;
    try {
      const token = ask && (await ask(timer));
      if (engine.state === "connecting") open(token);
    } catch (cause) {
      const error = new ArpcError("unavailable", "cannot dial", { cause });
      if (engine.state === "connecting") lost(isArpcError(cause) ? cause : error);
    }
  };

  engine.leave = (delay, until) => {
    if (!ready(engine)) return;
    engine.awayFor = delay;
    timer(until, leave);
  };
  engine.leaveIfDone = () => {
    const { awayFor, conn, jobs } = engine;
    if (awayFor === undefined || conn?.isReading || engine.unanswered > 0 || jobs.size > 0) return;
    if (!parts.some((part) => part.busy?.())) leave();
  };
  engine.hurry = () => {
    if (engine.state === "waiting") void dial();
    else engine.conn?.probe();
  };
  engine.rest = () => {
    if (engine.conn) leave(Infinity, "page hidden");
  };
  return {
    dial,
    close() {
      stop();
      setState("closed");
    },
  };
}
