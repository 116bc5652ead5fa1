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
  async take(client) {
    this.release();
    const { locks, BroadcastChannel } = this.#environment;
    const name = `windlass:${client}`;
    if (locks) return this.#lock(locks, name);
    return BroadcastChannel ? this.#ask(new BroadcastChannel(name)) : true;
  }

  /**
   * @param {LockManager} locks
   * @param {string} name
   * @returns {Promise<boolean>}
   */
  #lock(locks, name) {
    const { clock } = this.#environment;
    return new Promise((resolve) => {
      // Not `ifAvailable`: at a reload the lock of the page that leaves may be let go a moment after this one asks.
      const wait = new AbortController();
      const timer = clock.setTimeout(() => wait.abort(), WAIT_MS);
      this.release = () => wait.abort();
      locks
        .request(name, { signal: wait.signal }, () => {
          clock.clearTimeout(timer);
          resolve(true);
          return new Promise((end) => (this.release = () => end(undefined)));
        })
        // Only a lock that was waited for in vain is another page's; where locks are forbidden, none is.
        .catch((error) => {
          clock.clearTimeout(timer);
          resolve(error.name !== "AbortError");
        });
    });
  }

  /**
   * @param {BroadcastChannel} channel its name is the client's, so every message on it is about this id
   * @returns {Promise<boolean>}
   */
  #ask(channel) {
    const { clock, instance } = this.#environment;
    return new Promise((resolve) => {
      let held = false;
      const timer = clock.setTimeout(() => resolve((held = true)), WAIT_MS);
      channel.onmessage = ({ data }) => {
        // Of two pages that ask at once, the one with the lower instance stays.
        if (data.ask !== undefined && (held || instance < data.ask)) channel.postMessage({ held: data.ask });
        if (data.held === instance && !held) this.release();
      };
      this.release = () => {
        clock.clearTimeout(timer);
        channel.close();
        resolve(false);
      };
      channel.postMessage({ ask: instance });
    });
  }
}

// Long enough for a page that is busy painting to answer; only a duplicate ever waits for all of it where there are
// locks.
const WAIT_MS = 300;
