/**
 * A browser and a network small enough for a test: a clock that moves when told, sockets whose other end is the test,
 * a tab's storage, the locks of all tabs, a window that can be hidden and left.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connect } from "../../src/index.js";

export class World {
  clock = new Clock();
  storage = new MemoryStorage();
  locks = new Locks();
  window = new FakeWindow();
  /** @type {FakeSocket[]} every socket that a client opened, in order */
  sockets = [];
  /** @type {Error[]} what no promise carried */
  errors = [];
  /** @type {object[]} the details of every `fresh` */
  fresh = [];

  /** @param {object} [options] as `connect` takes them */
  async connect(options = {}) {
    const { clock, sockets } = this;
    const app = connect({
      url: "ws://127.0.0.1/socket",
      page: "/",
      storage: this.storage,
      setTimeout: clock.setTimeout,
      clearTimeout: clock.clearTimeout,
      now: clock.now,
      random: () => 0.5,
      locks: this.locks,
      window: this.window,
      WebSocket: class extends FakeSocket {
        constructor(url, protocol) {
          super(url, protocol);
          sockets.push(this);
        }
      },
      ...options,
    });
    app.addEventListener("error", ({ detail }) => this.errors.push(detail));
    app.addEventListener("fresh", ({ detail }) => this.fresh.push(detail));
    await settled();
    return app;
  }

  /** The socket that was opened last. */
  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /** Lets the last socket open, and answers its hello. */
  welcome(welcome = {}) {
    const { socket } = this;
    socket.open();
    const [tag, hello] = socket.next();
    assert.equal(tag, "h");
    socket.receive(["w", { ...WELCOME, client: hello.client, ...welcome }]);
    return hello;
  }

  /** A client that is welcome and holds `{count: 0}` as frame 1. */
  async live({ options = {}, welcome = {}, document = { count: 0 } } = {}) {
    const app = await this.connect(options);
    this.welcome({ token: "token-1", ...welcome });
    this.socket.receive(["s", 1, welcome.ack ?? 0, document]);
    assert.deepEqual(this.socket.next(), ["k", 1]);
    return app;
  }

  /** Loses the connection, lets the time pass that the client waits, and answers as told. */
  resume(welcome) {
    this.socket.lose();
    this.waitForSocket();
    return this.welcome({ resumed: true, ...welcome });
  }

  /** Lets the time pass until the client opens a socket. */
  waitForSocket() {
    const count = this.sockets.length;
    for (let ms = 0; this.sockets.length === count; ms += 100) {
      assert.ok(ms < 60_000, "the client comes back within a minute");
      this.clock.advance(100);
    }
  }

  /** Leaves the page as a reload does. */
  async reload(options) {
    this.window.dispatchEvent(new Event("pagehide"));
    this.window = new FakeWindow();
    await settled();
    return this.connect(options);
  }
}

/** Everything that was ready to run has run. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));

export const SESSION = "a1b2c3d4e5f6a7b8c9d0e1f2";
export const EPOCH = 4294967297;

const WELCOME = {
  session: SESSION,
  epoch: EPOCH,
  ack: 0,
  saved: null,
  resumed: false,
  limits: { actions_in_flight: 32, message_bytes_max: 65536 },
};

export class FakeSocket {
  onopen = null;
  onmessage = null;
  onclose = null;
  /** @type {string[]} what the client sent and nobody has read */
  sent = [];
  closed = null;

  constructor(url, protocol) {
    this.url = url;
    this.protocol = protocol;
  }

  send(text) {
    assert.equal(this.closed, null, "a closed socket sends nothing");
    this.sent.push(text);
  }

  close(code, reason) {
    this.closed = { code, reason };
  }

  open() {
    this.onopen?.({});
  }

  receive(message) {
    this.receiveRaw(JSON.stringify(message));
  }

  receiveRaw(data) {
    this.onmessage?.({ data });
  }

  lose(code = 1006, reason = "") {
    this.onclose?.({ code, reason: typeof reason === "string" ? reason : JSON.stringify(reason) });
  }

  /** The next message of the client, undefined when there is none. */
  next() {
    const text = this.sent.shift();
    return text === undefined ? undefined : JSON.parse(text);
  }

  /** All that the client sent since the last look. */
  all() {
    return this.sent.splice(0).map((text) => JSON.parse(text));
  }
}

export class Clock {
  #now = 1_000_000;
  #timers = new Map();
  #last = 0;

  now = () => this.#now;

  setTimeout = (run, ms) => {
    this.#timers.set(++this.#last, { run, at: this.#now + ms });
    return this.#last;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  /** Runs what is due, in order, each at its own time. */
  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].run();
    }
    this.#now = end;
  }

  /** Time passes while nothing runs, as in a laptop that sleeps. */
  sleep(ms) {
    this.#now += ms;
  }
}

export class MemoryStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => void this.items.set(key, String(value));
  removeItem = (key) => void this.items.delete(key);

  /** As a browser copies it when it duplicates the tab. */
  copy() {
    const copy = new MemoryStorage();
    copy.items = new Map(this.items);
    return copy;
  }
}

/** Web Locks, exclusive ones. */
export class Locks {
  #queues = new Map();

  request(name, { signal }, run) {
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(name) ?? [];
      this.#queues.set(name, queue);
      const next = () => queue[0]?.();
      const start = async () => {
        signal.removeEventListener("abort", abort);
        resolve(await run({ name }));
        queue.shift();
        next();
      };
      const abort = () => {
        queue.splice(queue.indexOf(start), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort);
      queue.push(start);
      if (queue.length === 1) queueMicrotask(start);
    });
  }

  async query() {
    return { pending: [...this.#queues].flatMap(([name, queue]) => queue.slice(1).map(() => ({ name }))) };
  }
}

/** BroadcastChannel between the tabs of one test. */
export function channels() {
  const open = new Set();
  return class {
    onmessage = null;
    constructor(name) {
      this.name = name;
      open.add(this);
    }
    postMessage(data) {
      for (const other of open) if (other !== this && other.name === this.name) queueMicrotask(() => other.onmessage?.({ data }));
    }
    close() {
      open.delete(this);
    }
  };
}

export class FakeWindow extends EventTarget {
  document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  location = { pathname: "/", search: "", href: "http://127.0.0.1/" };

  show(visibilityState) {
    this.document.visibilityState = visibilityState;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }
}
