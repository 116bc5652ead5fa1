/**
 * The claim of this page on a client id: of all open pages, one at most may speak as a client.
 *
 * A browser that duplicates a tab, or opens a window from it, copies the tab's storage and so its client id. A Web
 * Lock settles who owns it; where there are none, the pages ask each other over a BroadcastChannel.
 *
 * @module
 */

/**
 * @typedef {object} ClaimEnvironment
 * @property {LockManager} [locks]
 * @property {typeof globalThis.BroadcastChannel} [BroadcastChannel]
 * @property {import("./connection.js").Clock} clock
 * @property {string} instance
 */

export class Claim {
  #environment;
  /** Ends the claim, or the wait for it. */
  release = () => {};

  /** @param {ClaimEnvironment} environment */
  constructor(environment) {
    this.#environment = environment;
  }

  /**
   * @param {string} client
   * @returns {Promise<boolean>} false when another page holds it
   */
  take(client) {
    this.release();
    const { clock, instance, locks, BroadcastChannel } = this.#environment;
    const name = `windlass:${client}`;
    return new Promise((resolve) => {
      if (locks) {
        // Not `ifAvailable`: at a reload the lock of the page that leaves may be let go a moment after this one asks.
        const wait = new AbortController();
        this.release = () => wait.abort();
        // Of no effect once the lock is had. On a busy thread it may be this page's by now, with the news of it behind this task.
        clock.setTimeout(async () => /** @type {LockInfo[]} */ ((await locks.query()).pending).some((lock) => lock.name === name) && wait.abort(), WAIT_MS);
        locks
          .request(name, { signal: wait.signal }, () => {
            resolve(true);
            return new Promise((end) => (this.release = /** @type {() => void} */ (end)));
          })
          // Only a lock that was waited for in vain is another page's; where locks are forbidden, none is.
          .catch(() => resolve(!wait.signal.aborted));
      } else if (BroadcastChannel) {
        // Its name is the client's, so every message on it is about this id.
        const channel = new BroadcastChannel(name);
        /** @type {true | undefined} */
        let held;
        clock.setTimeout(() => resolve((held = true)), WAIT_MS);
        channel.onmessage = ({ data }) => {
          // Of two pages that ask at once, the one with the lower instance stays.
          if (data.ask && (held || instance < data.ask)) channel.postMessage({ held: data.ask });
          if (data.held === instance && !held) this.release();
        };
        this.release = () => {
          channel.close();
          resolve(false);
        };
        channel.postMessage({ ask: instance });
      } else resolve(true);
    });
  }
}

// Long enough for a page that is busy painting to answer; only a duplicate ever waits for all of it where there are
// locks.
const WAIT_MS = 300;
