/**
 * A client as a stranger would write it from protocol.md alone: small, in both dialects, sharing nothing with the
 * web client. Its owner gives it a socket, the time and a place to store in; numbers in comments are sections.
 *
 * @module
 */

const STOPS = new Set(["login", "taken_over"]);
// 14
const CLOSES = {
  4400: "bad_message", 4401: "login", 4408: "hello_timeout", 4409: "taken_over", 4410: "elsewhere", 4411: "sequence_gap",
  4413: "too_large", 4423: "in_use", 4429: "busy", 4500: "session_failed", 4503: "draining", 4504: "silent",
};

export class Client {
  /** @param {{ dialect: string, storage: Map<string, string>, open: () => object, now: number }} options */
  constructor({ dialect, storage, open, now }) {
    this.words = dialect === "windlass.v1" ? arrays : objects;
    this.storage = storage;
    this.openSocket = open;
    this.now = now;
    this.instance = hex(4);
    this.document = null;
    [this.epoch, this.n] = [0, 0];
    this.socket = null;
    this.welcomed = false;
    this.attempts = 0;
    this.promises = new Map();
    const kept = storage.get("client");
    this.kept = kept ? JSON.parse(kept) : { ...nobody(), client: hex(12) };
    for (const entry of this.kept.outbox) if (entry.secret) Object.assign(entry, { void: true, name: null, payload: null });
    this.connectAt = now;
    this.tick(now);
  }

  /** Asks for an action; `done` hears `"applied"` or a code. (8) */
  action(name, payload, secret, done) {
    const entry = { seq: ++this.kept.seq, name, payload, secret, sent: false };
    this.kept.outbox.push(entry);
    this.promises.set(entry.seq, done);
    this.pump();
    this.save();
  }

  /** Time has come so far. */
  tick(now) {
    this.now = now;
    if (this.socket === null && now >= this.connectAt) {
      this.welcomed = this.blocked = false;
      this.socket = this.openSocket();
      this.heardAt = now;
      this.pingedAt = null;
    }
    if (this.leaveAt !== undefined && now >= this.leaveAt) this.leave();
    if (!this.welcomed) return;
    // 11
    if (this.n > this.ackedN && now - this.ackedAt >= 1000) this.acknowledge();
    // 12
    if (this.pingedAt !== null && now - this.pingedAt >= 5000) this.leave();
    else if (this.pingedAt === null && now - this.heardAt >= (this.waits() ? 5000 : 60000)) {
      this.pingedAt = now;
      this.send(["p"]);
    }
  }

  /** The socket is open: hello. (4) */
  opened() {
    const { client, token, event, outbox, seq } = this.kept;
    const sent = outbox.filter((entry) => entry.sent).at(-1);
    this.send(["h", {
      token, client, instance: this.instance, epoch: this.document ? this.epoch : 0, n: this.document ? this.n : 0, event,
      seq: outbox.find((entry) => !entry.told)?.seq ?? seq + 1, ...(sent ? { sent: [this.kept.epoch, sent.seq] } : {}), page: "/", can: [],
    }]);
  }

  /** The socket brought a text. */
  received(text) {
    this.heardAt = this.now;
    this.pingedAt = null;
    let message;
    try {
      message = this.words.read(JSON.parse(text));
    } catch {
      return this.leave(4400);
    }
    const [tag, ...items] = message;
    if (tag === "w") this.welcome(items[0]);
    else if (tag === "s") this.snapshot(...items);
    else if (tag === "d") this.delta(...items);
    else if (tag === "o") this.later(items[3]);
    else if (tag === "q") this.acknowledge();
  }

  // 5
  welcome({ session, epoch, ack, saved, resumed, token, limits, forgotten, pending = [] }) {
    if (this.kept.session === session && epoch < this.kept.epoch) return this.leave();
    if (token) this.kept.token = token;
    if ((this.kept.session !== null && this.kept.session !== session) || forgotten) {
      const { client, token } = this.kept;
      this.reject();
      this.kept = { ...nobody(), client, token };
      this.document = null;
    } else if (this.kept.session === session && epoch > this.kept.epoch) {
      // What was saved is known anew; the rest follows by ack.
      this.kept.outbox = this.kept.outbox.filter((entry) => !(entry.told && saved !== null && entry.seq <= saved));
    }
    Object.assign(this.kept, { session, epoch });
    if (resumed && epoch > this.epoch) [this.epoch, this.n] = [epoch, 0];
    if (!resumed) this.document = null;
    this.streamEpoch = epoch;
    this.inFlight = limits.actions_in_flight;
    this.saved = saved;
    if (this.kept.outbox.length === 0) this.kept.seq = ack;
    // 8, ACTION-2: a crash may have undone that it was answered, and that it waits.
    for (const entry of this.kept.outbox) if (entry.seq > ack) entry.outcome = entry.pending = undefined;
    // 6, PENDING-3
    for (const entry of this.kept.outbox) if (entry.pending && !pending.includes(entry.seq)) entry.outcome = "outcome_unknown";
    this.welcomed = true;
    this.ack = this.sentTo = ack;
    [this.ackedN, this.ackedAt] = [this.n, this.now];
    this.stableAt = this.now + 10000;
    this.pump();
    this.save();
  }

  // 6
  snapshot(n, ack, document, extras) {
    this.document = document;
    this.epoch = this.streamEpoch;
    this.n = n;
    this.settle(ack, extras);
    this.acknowledge();
  }

  delta(n, ack, changes, extras) {
    if (this.document === null) return this.settle(0, extras);
    if (n !== this.n + 1) return this.leave();
    try {
      this.document = this.words.apply(this.document, changes);
    } catch {
      this.document = null;
      this.send(["r"]);
      return this.settle(0, extras);
    }
    this.n = n;
    this.settle(ack, extras);
  }

  /** Events, then outcomes. */
  settle(ack, { e = [], r = [], saved } = {}) {
    for (const [epoch, n] of e) {
      const [lastEpoch, last] = this.kept.event;
      if (epoch > lastEpoch || (epoch === lastEpoch && n > last)) this.kept.event = [epoch, n];
    }
    for (const [seq, kind, code] of r) {
      const entry = this.kept.outbox.find((entry) => entry.seq === seq);
      if (entry && kind === "pending") entry.pending = true;
      else if (entry) entry.outcome = kind === "applied" ? "applied" : code;
    }
    this.ack = Math.max(this.ack, ack);
    const ended = this.kept.outbox.filter((entry) => entry.seq <= this.ack && (entry.outcome || !entry.pending));
    const news = ended.filter((entry) => !entry.told);
    for (const entry of ended) entry.told = true;
    // SAVED-2
    if (saved !== undefined) this.saved = saved;
    this.kept.outbox = this.kept.outbox.filter((entry) => !ended.includes(entry) || (this.saved !== null && entry.seq > this.saved));
    this.save();
    for (const { seq, outcome = "applied" } of news) this.tell(seq, outcome);
    this.pump();
  }

  /** Sends what may be sent. (8) */
  pump() {
    if (!this.welcomed || this.blocked) return;
    for (const entry of this.kept.outbox) {
      if (entry.seq <= this.sentTo || entry.seq - this.ack > this.inFlight) continue;
      entry.sent = true;
      this.sentTo = entry.seq;
      this.save();
      this.send(entry.void ? ["v", entry.seq] : ["a", entry.seq, entry.name, entry.payload]);
    }
  }

  later(retry_after_ms) {
    this.blocked = true;
    this.leaveAt = this.now + retry_after_ms;
  }

  acknowledge() {
    [this.ackedN, this.ackedAt] = [this.n, this.now];
    this.send(["k", this.n]);
  }

  /** Ends the connection from this side. */
  leave(code = 1000) {
    this.socket.close(code);
    this.closed(1006, {});
  }

  /** The connection has ended. (14) */
  closed(number, reason) {
    const code = CLOSES[number] ?? "lost";
    if (this.now >= (this.stableAt ?? Infinity)) this.attempts = 0;
    this.stableAt = this.leaveAt = undefined;
    this.socket = null;
    this.welcomed = false;
    this.connectAt = this.now + (reason.retry_after_ms ?? Math.random() * Math.min(10000, 500 * 2 ** this.attempts++));
    if (STOPS.has(code)) this.connectAt = Infinity;
    const blamed = this.kept.outbox.find((entry) => entry.seq === reason.seq);
    if (blamed) {
      Object.assign(blamed, { void: true, name: null, payload: null });
      this.tell(blamed.seq, code);
    }
    if (code === "in_use") {
      this.reject();
      this.kept = { ...nobody(), client: hex(12) };
      this.document = null;
    }
    this.save();
  }

  // 5, FRESH-1
  reject() {
    for (const { seq, sent } of this.kept.outbox) this.tell(seq, sent ? "outcome_unknown" : "session_gone");
  }

  tell(seq, outcome) {
    this.promises.get(seq)?.(outcome);
    this.promises.delete(seq);
  }

  waits() {
    return this.kept.outbox.some((entry) => entry.sent && !entry.pending && !entry.told);
  }

  send(message) {
    this.socket.send(JSON.stringify(this.words.write(message)));
  }

  save() {
    const outbox = this.kept.outbox.map((entry) => (entry.secret ? { ...entry, name: null, payload: null } : entry));
    this.storage.set("client", JSON.stringify({ ...this.kept, outbox }));
  }
}

const nobody = () => ({ token: null, session: null, epoch: 0, event: [0, 0], seq: 0, outbox: [] });

const hex = (bytes) => Array.from({ length: bytes * 2 }, () => Math.floor(Math.random() * 16).toString(16)).join("");

const isMap = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const must = (condition, why) => {
  if (!condition) throw new Error(why);
};

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

/** What every message has to be, in the words of the first dialect. (3, 5, 6) */
function checked([tag, ...items]) {
  if (tag === "w") {
    const [welcome] = items;
    must(isMap(welcome) && typeof welcome.session === "string" && isCount(welcome.epoch) && isCount(welcome.ack), tag);
    must(typeof welcome.resumed === "boolean", tag);
  } else if (tag === "s" || tag === "d") {
    const [n, ack, body, extras = {}] = items;
    must(isCount(n) && isCount(ack) && isMap(extras), tag);
    must(tag === "s" ? isMap(body) : Array.isArray(body), tag);
    for (const [seq, kind] of extras.r ?? []) must(isCount(seq) && /^(applied|failed|refused|pending)$/.test(kind), kind);
    for (const [epoch, n, kind, body] of extras.e ?? []) must(isCount(epoch) && isCount(n) && typeof kind === "string" && isMap(body), kind);
  }
  return [tag, ...items];
}

/** `windlass.v1` (3, 7) */
export const arrays = {
  read(message) {
    must(Array.isArray(message) && typeof message[0] === "string", "no message");
    if (message[0] === "d") must(Array.isArray(message[3]) && message[3].every(Array.isArray), "ops");
    return checked(message);
  },
  write: (message) => message,
  apply(document, ops) {
    let root = structuredClone(document);
    for (const op of ops) {
      must(Array.isArray(op) && op.length > 1, "too few items");
      const [first, ...rest] = op;
      if (typeof first === "string") {
        const value = op.at(-1);
        const at = op.at(-2);
        const parent = reach(root, op.slice(0, -2));
        if (Array.isArray(parent)) must(isIndex(at, parent.length - 1), "index");
        else must(typeof at === "string", "key");
        define(parent, at, value);
        continue;
      }
      const last = rest.pop();
      if (first === 0) {
        must(isMap(last), "root");
        root = last;
        continue;
      }
      if (first === 5) {
        const parent = reach(root, rest);
        must(isMap(parent) && typeof last === "string" && Object.hasOwn(parent, last), "delete");
        delete parent[last];
        continue;
      }
      if (first === 8) {
        const list = reach(root, rest);
        must(Array.isArray(list) && Array.isArray(last) && last.length === list.length, "permute");
        must([...last].sort((a, b) => a - b).every((from, at) => from === at), "permute");
        const old = list.slice();
        last.forEach((from, to) => (list[to] = old[from]));
        continue;
      }
      must([1, 2, 3, 4, 7].includes(first) && rest.length > 0, "op");
      const at = rest.pop();
      if (first === 4) {
        const parent = reach(root, rest);
        const text = child(parent, at);
        must(typeof text === "string" && typeof last === "string", "append");
        define(parent, at, text + last);
        continue;
      }
      const list = reach(root, rest);
      must(Array.isArray(list), "list");
      if (first === 1 || first === 7) {
        must(isIndex(at, list.length) && (first === 1 || Array.isArray(last)), "insert");
        list.splice(at, 0, ...(first === 1 ? [last] : last));
      } else if (first === 2) {
        must(isIndex(at, list.length) && isIndex(last, list.length - at) && last > 0, "remove");
        list.splice(at, last);
      } else {
        must(isIndex(at, list.length - 1) && isIndex(last, list.length - 1), "move");
        list.splice(last, 0, ...list.splice(at, 1));
      }
    }
    return root;
  },
};

/** `windlass.v1.json-patch` (18) */
export const objects = {
  read(message) {
    must(isMap(message) && typeof message.type === "string", "no message");
    const { type, n, ack, outcomes = [], events = [], saved } = message;
    const extras = {
      saved,
      r: outcomes.map(({ seq, outcome, value, code, text }) => (outcome === "applied" ? [seq, outcome, value] : [seq, outcome, code, text])),
      e: events.map(({ id, kind, body }) => [...id, kind, body]),
    };
    if (type === "welcome") return checked(["w", message]);
    if (type === "snapshot") return checked(["s", n, ack, message.document, extras]);
    if (type === "delta") return checked(["d", n, ack, message.patch, extras]);
    if (type === "later") return ["o", message.seq, message.code, message.text, message.retry_after_ms];
    return [{ ask: "q", pong: "p", unknown: "x" }[type] ?? ""];
  },
  write([tag, ...items]) {
    if (tag === "h") return { type: "hello", ...items[0] };
    if (tag === "a") return { type: "action", seq: items[0], name: items[1], payload: items[2] };
    if (tag === "v") return { type: "void", seq: items[0] };
    if (tag === "k") return { type: "ack", n: items[0] };
    return { type: tag === "r" ? "refetch" : "ping" };
  },
  apply(document, patch) {
    let root = structuredClone(document);
    for (const { op, path, from, value } of patch) {
      if (path === "") {
        must(op === "replace" && isMap(value), "root");
        root = value;
      } else if (op === "add") put(root, path, value);
      else if (op === "remove") take(root, path);
      else if (op === "move") put(root, path, take(root, from));
      else if (op === "replace" || op === "append") {
        const [parent, at] = pointed(root, path);
        const old = child(parent, at);
        must(op === "replace" || typeof old === "string", "append");
        define(parent, at, op === "replace" ? value : old + value);
      } else must(false, "operation");
    }
    return root;
  },
};

function pointed(root, path) {
  const steps = path.split("/").slice(1).map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  let parent = root;
  for (const step of steps.slice(0, -1)) parent = child(parent, Array.isArray(parent) ? Number(step) : step);
  must(typeof parent === "object" && parent !== null, "parent");
  return [parent, Array.isArray(parent) ? Number(steps.at(-1)) : steps.at(-1)];
}

function put(root, path, value) {
  const [parent, at] = pointed(root, path);
  if (!Array.isArray(parent)) define(parent, at, value);
  else {
    must(isIndex(at, parent.length), "index");
    parent.splice(at, 0, value);
  }
}

function take(root, path) {
  const [parent, at] = pointed(root, path);
  const value = child(parent, at);
  if (Array.isArray(parent)) parent.splice(at, 1);
  else delete parent[at];
  return value;
}

const isIndex = (value, max) => Number.isInteger(value) && value >= 0 && value <= max;

function child(parent, step) {
  must(typeof parent === "object" && parent !== null, "no container");
  must(typeof step === (Array.isArray(parent) ? "number" : "string") && Object.hasOwn(parent, step), "absent");
  return parent[step];
}

function reach(root, steps) {
  const container = steps.reduce(child, root);
  must(typeof container === "object" && container !== null, "no container");
  return container;
}

// KEYS-1
const define = (parent, at, value) =>
  Object.defineProperty(parent, at, { value, writable: true, enumerable: true, configurable: true });
