/**
 * Stands between the client and its socket: tells what passes, and can be a worse network than there is.
 *
 * Nothing of it touches the server or other pages. Messages stay in order and whole; with no delay they pass in the
 * same task as without it.
 *
 * @module
 */

/** @import { Clock, Connection } from "../connection.js" */

/** @typedef {Pick<WebSocket, "send" | "close" | "onopen" | "onmessage" | "onclose">} Socket */

/**
 * @typedef {object} Listener
 * @property {() => void} connect
 * @property {() => void} open
 * @property {(text: string) => void} sent
 * @property {(data: unknown) => void} received
 * @property {(code: number, reason: string, simulated: boolean) => void} close
 * @property {() => void} changed something of the simulation
 */

export class Link {
  /** One way, in milliseconds. */
  delay_ms = 0;
  /** Up to so much is added to each message's delay, at random. */
  jitter_ms = 0;
  /** After so many more frames, of either direction, the connection is cut; null for never. @type {number | null} */
  cutAfter = null;
  /** Until when there is no network, in the clock's milliseconds; Infinity until {@link online}. */
  offlineUntil = 0;
  /** Counts of frames and bytes since it was put there, and of cuts. */
  counts = { in: 0, out: 0, bytes_in: 0, bytes_out: 0, cuts: 0 };

  clock;
  random;
  listener;
  #connection;
  #environment;
  #WebSocket;
  /** @type {Set<Wire>} */
  wires = new Set();
  /** @type {number | undefined} */
  #timer;
  #passive = false;

  /**
   * Puts itself in place, also of a socket that is open.
   *
   * @param {{ connection: Connection, environment: { WebSocket: typeof WebSocket, clock: Clock, random: () => number } }} inspected
   * @param {Listener} listener
   */
  constructor({ connection, environment }, listener) {
    this.#connection = connection;
    this.#environment = environment;
    this.#WebSocket = environment.WebSocket;
    this.clock = environment.clock;
    this.random = environment.random;
    this.listener = listener;
    const link = this;
    environment.WebSocket = /** @type {typeof WebSocket} */ (/** @type {unknown} */ (
      class extends Wire {
        /**
         * @param {string} url
         * @param {string} protocol
         */
        constructor(url, protocol) {
          link.listener.connect();
          super(link, link.isOffline ? null : new link.#WebSocket(url, protocol));
        }
      }
    ));
    if (connection.socket) connection.socket = new Wire(this, connection.socket);
  }

  get isOffline() {
    return this.offlineUntil > this.clock.now();
  }

  /** Whether it does anything but look on. */
  get isSimulating() {
    return this.delay_ms > 0 || this.jitter_ms > 0 || this.cutAfter !== null || this.isOffline;
  }

  /** Loses the connection now, as a network does. */
  cut() {
    this.counts.cuts += this.wires.size;
    this.lose();
  }

  /** The same, for a reason that is no network's. */
  lose() {
    this.cutAfter = null;
    for (const wire of [...this.wires]) wire.cut();
    this.listener.changed();
  }

  /** @param {number} ms for how long there is no network; Infinity until {@link online} */
  offline(ms) {
    this.offlineUntil = this.clock.now() + ms;
    this.clock.clearTimeout(this.#timer);
    if (ms < Infinity) this.#timer = this.clock.setTimeout(() => this.online(), ms);
    this.cut();
  }

  /** The network is back, and the client is told as a browser tells it. */
  online() {
    this.clock.clearTimeout(this.#timer);
    if (this.offlineUntil === 0) return;
    this.offlineUntil = 0;
    this.#connection.wake();
    this.listener.changed();
  }

  /** A perfect network again; what was under way arrives now. */
  reset() {
    this.delay_ms = this.jitter_ms = 0;
    this.cutAfter = null;
    for (const wire of this.wires) wire.flush();
    this.online();
    this.listener.changed();
  }

  /** Leaves; a socket that is open stays so, and passes everything on. */
  release() {
    this.#environment.WebSocket = this.#WebSocket;
    this.#passive = true;
    this.reset();
  }

  /**
   * @param {"in" | "out"} way
   * @param {unknown} data
   */
  tell(way, data) {
    if (this.#passive) return;
    const bytes = utf8.encode(String(data)).length;
    this.counts[way]++;
    this.counts[way === "in" ? "bytes_in" : "bytes_out"] += bytes;
    if (way === "in") this.listener.received(data);
    else this.listener.sent(String(data));
  }

  /** A frame has arrived at either end. */
  passed() {
    if (this.cutAfter === null) return;
    this.cutAfter--;
    if (this.cutAfter <= 0) this.cut();
    else this.listener.changed();
  }

  /** @param {() => void} tell */
  say(tell) {
    if (!this.#passive) tell();
  }
}

/**
 * A socket as the client sees it.
 *
 * @implements {Socket}
 */
class Wire {
  /** @type {WebSocket["onopen"]} */
  onopen = null;
  /** @type {WebSocket["onmessage"]} */
  onmessage = null;
  /** @type {WebSocket["onclose"]} */
  onclose = null;

  #link;
  #inner;
  #out;
  #in;
  #over = false;

  /**
   * @param {Link} link
   * @param {Socket | null} inner null when there is no network
   */
  constructor(link, inner) {
    this.#link = link;
    this.#inner = inner;
    this.#out = new Pipe(link);
    this.#in = new Pipe(link);
    link.wires.add(this);
    if (!inner) {
      this.#in.push(() => this.#closed(1006, "", true), true);
      return;
    }
    ({ onopen: this.onopen, onmessage: this.onmessage, onclose: this.onclose } = inner);
    const { listener } = link;
    inner.onopen = (event) => {
      // A handshake goes there and back.
      this.#in.push(() => {
        link.say(listener.open);
        this.onopen?.call(/** @type {WebSocket} */ (inner), event);
      }, false, link.delay_ms);
    };
    inner.onmessage = (event) => {
      this.#in.push(() => {
        link.tell("in", event.data);
        this.onmessage?.call(/** @type {WebSocket} */ (inner), event);
        link.passed();
      });
    };
    inner.onclose = ({ code, reason }) => this.#in.push(() => this.#closed(code, reason, false));
  }

  /** @param {Parameters<WebSocket["send"]>[0]} text */
  send(text) {
    this.#link.tell("out", text);
    this.#out.push(() => {
      this.#inner?.send(text);
      this.#link.passed();
    });
  }

  /**
   * @param {number} [code]
   * @param {string} [reason]
   */
  close(code, reason) {
    if (this.#over) return;
    this.#over = true;
    this.#link.say(() => this.#link.listener.close(code ?? 1000, reason ?? "", false));
    this.#in.drop();
    this.#out.push(() => this.#end(code, reason));
  }

  /** Ends as a network does that is gone: what is under way is lost. */
  cut() {
    this.#in.drop();
    this.#out.drop();
    this.#end(1000, "");
    this.#closed(1006, "", true);
  }

  flush() {
    this.#in.flush();
    this.#out.flush();
  }

  /**
   * @param {number | undefined} code
   * @param {string | undefined} reason
   */
  #end(code, reason) {
    const inner = this.#inner;
    this.#link.wires.delete(this);
    if (!inner) return;
    inner.onopen = inner.onmessage = inner.onclose = null;
    inner.close(code, reason);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} simulated
   */
  #closed(code, reason, simulated) {
    if (this.#over) return;
    this.#over = true;
    this.#link.wires.delete(this);
    this.#link.say(() => this.#link.listener.close(code, reason, simulated));
    const event = /** @type {CloseEvent} */ ({ code, reason });
    this.onclose?.call(/** @type {WebSocket} */ (/** @type {unknown} */ (this)), event);
  }
}

/** One direction: first in, first out, each after its delay. */
class Pipe {
  /** @type {(() => void)[]} */
  #waiting = [];
  /** @type {number[]} */
  #timers = [];
  #due = 0;
  #link;

  /** @param {Link} link */
  constructor(link) {
    this.#link = link;
  }

  /**
   * @param {() => void} run
   * @param {boolean} [later] never in this task
   * @param {number} [more_ms]
   */
  push(run, later = false, more_ms = 0) {
    const { clock, delay_ms, jitter_ms, random } = this.#link;
    const wait = delay_ms + more_ms + random() * jitter_ms;
    if (wait <= 0 && !later && this.#waiting.length === 0) {
      run();
      return;
    }
    // Never before the one ahead of it.
    this.#due = Math.max(this.#due, clock.now() + wait);
    this.#waiting.push(run);
    this.#timers.push(clock.setTimeout(() => this.#next(), this.#due - clock.now()));
  }

  #next() {
    this.#timers.shift();
    this.#waiting.shift()?.();
  }

  drop() {
    for (const timer of this.#timers) this.#link.clock.clearTimeout(timer);
    this.#timers = [];
    this.#waiting = [];
  }

  flush() {
    const waiting = this.#waiting;
    this.drop();
    for (const run of waiting) run();
  }
}

const utf8 = new TextEncoder();
