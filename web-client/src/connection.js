/**
 * The socket and when to have one: opens it, notices when it is dead, and comes back as the close code says.
 *
 * Knows nothing of sessions: its owner speaks in {@link Owner.opened}, says {@link Connection.live} when it was
 * welcomed, and gets every text in the order of arrival. Nothing thrown here reaches the socket.
 *
 * @module
 */

import { backoff } from "./backoff.js";
import { PROTOCOL, encode } from "./wire.js";

/** @typedef {"connecting" | "live" | "waiting" | "stopped"} ConnectionState */

/**
 * @typedef {object} ConnectionStatus the same object until something changes
 * @property {ConnectionState} state
 * @property {number | null} retryAt when the next attempt is made, in the clock's milliseconds
 * @property {string | null} code why there is no connection: a name of protocol.md's close codes, or `lost`
 * @property {number} attempt how many attempts in a row have failed
 */

/**
 * @typedef {object} Clock
 * @property {(run: () => void, ms: number) => number} setTimeout
 * @property {(timer: number | undefined) => void} clearTimeout
 * @property {() => number} now
 */

/**
 * @typedef {object} Owner
 * @property {() => void} opened
 * @property {(data: unknown) => void} received
 * @property {(close: Close) => void} closed
 * @property {(status: ConnectionStatus) => void} changed
 * @property {() => number | null} unansweredSince when the oldest unanswered action was sent
 */

/** @typedef {{ code: string, seq?: number, retry_after_ms?: number, route?: string }} Close */

/**
 * @typedef {object} ConnectionOptions
 * @property {string} url
 * @property {typeof globalThis.WebSocket} WebSocket
 * @property {Clock} clock
 * @property {() => number} random
 * @property {() => boolean} visible
 */

export class Connection {
  /** @type {ConnectionStatus} */
  status = Object.freeze({ state: "connecting", retryAt: null, code: null, attempt: 0 });

  #options;
  #owner;
  /** @type {Pick<WebSocket, "send" | "close" | "onopen" | "onmessage" | "onclose"> | null} devtools put their own between */
  socket = null;
  #attempt = 0;
  /** @type {string | undefined} where `elsewhere` said that the session lives */
  #route;
  /** @type {number | undefined} the next attempt, or the end of patience with this one */
  #timer;
  /** @type {number | undefined} */
  #watchTimer;
  #watchDue = Infinity;
  #liveSince = Infinity;
  #heardAt = 0;
  /** @type {number | null} when a ping went out that nothing has followed yet */
  #pingedAt = null;

  /**
   * @param {ConnectionOptions} options
   * @param {Owner} owner
   */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
  }

  /** Connects now, whatever the state. */
  open() {
    this.#drop();
    this.#become("connecting", null, this.status.code);
    const { WebSocket } = this.#options;
    try {
      const socket = new WebSocket(this.#url(), PROTOCOL);
      this.socket = socket;
      socket.onopen = () => {
        this.#patience();
        this.#owner.opened();
      };
      socket.onmessage = ({ data }) => {
        this.#heardAt = this.#options.clock.now();
        this.#pingedAt = null;
        this.#owner.received(data);
      };
      socket.onclose = ({ code, reason }) => this.#closed(read(code, reason));
      this.#patience();
    } catch {
      // A policy of the page may forbid the address; it looks like a server that is not there.
      this.#closed(LOST);
    }
  }

  /** @param {import("./wire.js").ClientMessage} message */
  send(message) {
    this.sendText(encode(message));
  }

  /** @param {string} text */
  sendText(text) {
    this.socket?.send(text);
    this.#watch();
  }

  /** The server has welcomed us. */
  live() {
    this.#clear();
    this.#liveSince = this.#heardAt;
    this.#become("live", null, null);
    this.#watch();
  }

  /**
   * Gives this socket up and comes back.
   *
   * @param {string} code the server is told when it is its fault: `bad_message`
   */
  fail(code) {
    this.#drop(code === "bad_message" ? 4400 : 1000, JSON.stringify({ code }));
    this.#closed({ code });
  }

  /**
   * Gives this socket up after that time, if the server has not by then.
   *
   * @param {unknown} ms
   * @param {string} code
   */
  failAfter(ms, code) {
    const { clock, random } = this.#options;
    clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(() => this.#closed({ code, retry_after_ms: 0 }), delay(ms) ?? backoff(this.#attempt, random));
  }

  /**
   * Has no socket until it is told to open one.
   *
   * @param {string} code
   * @param {ConnectionState} [state]
   */
  stop(code, state = "stopped") {
    this.#drop();
    this.#become(state, null, code);
  }

  /** Something has happened that makes it worth a look: the page is seen again, or the network is back. */
  wake() {
    if (this.status.state === "waiting") this.open();
    else if (this.status.state === "live") {
      // A person looks at the page: a socket that has died in its sleep is found out sooner than any other.
      this.#pingedAt ??= this.#options.clock.now() - ANSWER_MS + WAKE_MS;
      this.#ping();
    }
  }

  /** @param {Close} close */
  #closed(close) {
    const { clock, random } = this.#options;
    this.#drop();
    this.#route = close.route ?? this.#route;
    // Not at the welcome: a server that welcomes and closes at once would be asked again and again without a pause.
    if (clock.now() - this.#liveSince >= STABLE_MS) this.#attempt = 0;
    this.#liveSince = Infinity;
    const stops = close.code === "login" || close.code === "taken_over";
    // Set before the owner hears of it, so that it may already stop or open.
    const wait = delay(close.retry_after_ms) ?? backoff(this.#attempt, random);
    this.#attempt++;
    if (stops) {
      this.#become("stopped", null, close.code);
    } else {
      this.#timer = clock.setTimeout(() => this.open(), wait);
      this.#become("waiting", clock.now() + wait, close.code);
    }
    this.#owner.closed(close);
  }

  /**
   * Ends what there is of a socket and of timers, without a word to the owner.
   *
   * @param {number} [code]
   * @param {string} [reason]
   */
  #drop(code = 1000, reason = "") {
    this.#clear();
    const socket = this.socket;
    this.socket = null;
    if (socket === null) return;
    // On a dead network the close event comes after a minute or more; nobody waits for it.
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code, reason);
  }

  #clear() {
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    clock.clearTimeout(this.#watchTimer);
    this.#watchDue = Infinity;
    this.#pingedAt = null;
  }

  #patience() {
    this.#clear();
    this.#timer = this.#options.clock.setTimeout(() => this.fail("lost"), PATIENCE_MS);
  }

  #ping() {
    this.#pingedAt ??= this.#options.clock.now();
    this.send(["p"]);
  }

  /** Sees to it that the timer looks in time. It may look too early: then it looks again. */
  #watch() {
    if (this.status.state !== "live") return;
    const { clock } = this.#options;
    const due = this.#silenceDue();
    if (due >= this.#watchDue) return;
    clock.clearTimeout(this.#watchTimer);
    this.#watchDue = due;
    this.#watchTimer = clock.setTimeout(() => this.#look(), Math.max(0, due - clock.now()));
  }

  #look() {
    const now = this.#options.clock.now();
    const due = this.#silenceDue();
    // A timer that comes late was held up by sleep or by a hidden tab; the answer may be waiting behind it.
    const late = now - this.#watchDue > LATE_MS;
    this.#watchDue = Infinity;
    if (now < due) this.#watch();
    else if (this.#pingedAt !== null && !late) this.fail("lost");
    else {
      this.#pingedAt = null;
      this.#ping();
    }
  }

  /** When the silence has lasted too long to be left alone. */
  #silenceDue() {
    if (this.#pingedAt !== null) return this.#pingedAt + ANSWER_MS;
    const since = this.#owner.unansweredSince();
    return Math.min(
      since === null ? Infinity : Math.max(since, this.#heardAt) + ANSWER_MS,
      this.#options.visible() ? this.#heardAt + SILENCE_MS : Infinity,
    );
  }

  #url() {
    const url = new URL(this.#options.url);
    if (this.#route !== undefined) url.searchParams.set("route", this.#route);
    return url.href;
  }

  /**
   * @param {ConnectionState} state
   * @param {number | null} retryAt
   * @param {string | null} code
   */
  #become(state, retryAt, code) {
    this.status = Object.freeze({ state, retryAt, code, attempt: this.#attempt });
    this.#owner.changed(this.status);
  }
}

/**
 * @param {number} code
 * @param {string} reason
 * @returns {Close}
 */
function read(code, reason) {
  const name = CLOSE_CODES.get(code);
  if (name === undefined) return LOST;
  try {
    return { ...JSON.parse(reason), code: name };
  } catch {
    return { code: name };
  }
}

/** @param {unknown} ms as a server said it; null when it is no wait */
function delay(ms) {
  // A timer of more than 2^31 ms fires at once.
  return typeof ms === "number" && ms >= 0 ? Math.min(ms, DELAY_MAX_MS) : null;
}

const LOST = { code: "lost" };

const CLOSE_CODES = new Map([
  [4400, "bad_message"],
  [4401, "login"],
  [4408, "hello_timeout"],
  [4409, "taken_over"],
  [4410, "elsewhere"],
  [4411, "sequence_gap"],
  [4413, "too_large"],
  [4423, "in_use"],
  [4429, "busy"],
  [4500, "session_failed"],
  [4503, "draining"],
  [4504, "silent"],
]);

const ANSWER_MS = 5_000;
const WAKE_MS = 2_500;
const SILENCE_MS = 60_000;
const LATE_MS = 1_000;
// For the handshake, and again for the welcome: an `authenticate` may take 5 s, a takeover 1 s.
const PATIENCE_MS = 10_000;
// A connection that stood as long as the longest wait was no failure.
const STABLE_MS = 10_000;
const DELAY_MAX_MS = 3_600_000;
