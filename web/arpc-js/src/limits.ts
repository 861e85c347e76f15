/**
 * The bounds of a client. They stand here alone, without an import, because a bundler puts the
 * number where it is used only then.
 */

/** Frames, or ms, of work in one turn; then other tasks of the page get theirs. */
export const TURN_FRAMES = 256;
export const TURN_MS = 8;
/** Most bytes of frames that share a message; a larger frame has one of its own. */
export const MAX_BATCH: number = 32 << 10;
/** How often to look whether the machine slept, and by how much a timer is late then, in ms. */
export const TICK = 5000;
/** How long an answer to a ping may take that was sent because of a doubt, in ms. */
export const PROBE_TIMEOUT = 5000;
/** The part of that time in which what comes may have been under way before. */
export const DOUBT = 0.2;
/** For how long a connection that ends waits for what coders are still at, in ms. */
export const LEAVE_TIMEOUT = 5000;
/** Most characters of why a connection is closed: sockets take 123 bytes. */
export const MAX_REASON = 40;

/** For how long a server that did not answer hello is taken for a base one, in ms. */
export const BASE_MEMORY = 600_000;
/** The part of a token's life after which the next one is shown. */
export const RENEWAL = 0.75;
/**
 * Least time until the next one is shown, in ms: a server whose tokens live shortly is not asked all
 * the time.
 */
export const MIN_REFRESH = 1000;

/** Most requests of the peer that are worked on at once. */
export const MAX_RUNNING = 1024;
/** Most requests and notifies of the peer, and bytes in them, that wait for their turn. */
export const MAX_WAITING = 4096;
export const MAX_WAITING_BYTES: number = 4 << 20;

/** Frames, and bytes in them, after which we say that we have them. */
export const CONFIRM_FRAMES = 256;
export const CONFIRM_BYTES: number = 64 << 10;
/** For how long nothing must come until we say it of fewer, in ms, at least; at most twice that. */
export const CONFIRM_DELAY = 500;
/** For how long a server keeps a session that does not say it, in ms. */
export const GRACE = 60_000;
/** Longest that a server is believed to keep it, in ms. */
export const MAX_GRACE = 86_400_000;
/** How much longer than the server we keep it, in ms. */
export const GIVE_UP = 60_000;
/** Most bytes of frames that a page leaves to the next one. */
export const MAX_STORED: number = 128 << 10;

/** Most streams of the peer that are remembered after their end. */
export const MAX_OVER = 256;

/** Longest that a server can keep a client away, in ms. */
export const MAX_AWAY = 60_000;
/** Longest that a client stays on a connection it is to leave, in ms. */
export const MAX_LEAVING = 3_600_000;

/** How long an answer to hello, or to a token, may take, in ms. */
export const HELLO_TIMEOUT = 5000;

/** Bytes of one stream of a base peer, which knows no credit, that may wait to be read. */
export const MAX_BASE_UNREAD: number = 1 << 20;
/** What holding a message costs beside its body, in bytes. */
export const MESSAGE_COST = 64;
/** Most messages of one stream that may wait: those without a body need no credit. */
export const MAX_UNREAD_MESSAGES: number = 1 << 18;
/** Most credit a sender holds, in bytes, whatever the peer grants. */
export const MAX_CREDIT: number = 2 ** 30;
/**
 * How often a full socket is looked at, in ms. Sockets have no event for having room again, and
 * what they hold leaves at the speed of the network: a later look costs less than a tighter loop.
 */
export const DRAIN_INTERVAL = 20;

/** Most streams of the peer on one connection whose handlers run. */
export const MAX_STREAMS = 256;

/** Most bytes of hello. Topics it has no room for are subscribed after it. */
export const MAX_HELLO = 16_384;
/** Most topics that are tried to fit in it. */
export const MAX_LISTED = 1024;

/** How long until a server that was unavailable is asked again, in ms. */
export const RETRY_DELAY = 1000;
/** Holes in the pushes, with none delivered between them, after which the server is given up. */
export const MAX_HOLES = 8;

/** Most topics there may be, our own too, when a server subscribes us to one more by itself. */
export const MAX_TOPICS = 16_384;

/** Most members that are kept: no server can fill a page. */
export const MAX_MEMBERS: number = 1 << 16;

/** Most bytes of a topic's name; its length field has room for more. */
export const MAX_TOPIC_LENGTH = 255;
/** Most bytes of options beside data: their length is 16 bits. */
export const MAX_OPTIONS_LENGTH = 0xffff;
