/**
 * A TCP proxy between a page and the server, with which a test breaks the network.
 *
 * It forwards bytes and reads none of them. A fault holds until `resume()`; connections that a fault has
 * ended stay ended, those that it has only stopped go on.
 * @module
 */

import net from 'node:net'
import { once } from 'node:events'

/** What the proxy does with connections: see the methods of the same names. */
/** @typedef {'forwarding' | 'refusing' | 'holding'} Mode */

/** What waits in the proxy while it holds or delays; the socket is not read beyond it. */
const HELD_BYTES_MAX = 1024 * 1024

/**
 * One proxy on a port of its own.
 *
 * Fires `accepted` and `ended` for each connection, `refused` for each that is not taken, and `held` when there are bytes that it keeps back.
 */
export class Proxy extends EventTarget {
  /** @type {net.Server} */ #listener
  /** @type {Set<Pair>} */ #pairs = new Set()
  /** @type {Mode} */ #mode = 'forwarding'
  /** Whether what is held is only what pages send. */
  #isOneWay = false
  #delayMs = 0
  #port = 0
  #targetPort

  /**
   * Listens before it returns.
   * @param {number} targetPort where the server listens on loopback
   */
  static async start(targetPort) {
    const proxy = new Proxy(targetPort)
    proxy.#listener.listen(0, '127.0.0.1')
    await once(proxy.#listener, 'listening')
    proxy.#port = /** @type {net.AddressInfo} */ (proxy.#listener.address()).port
    return proxy
  }

  /** @param {number} targetPort */
  constructor(targetPort) {
    super()
    this.#targetPort = targetPort
    // Half open: the end of one direction is forwarded as such, and the other goes on.
    this.#listener = net.createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    /** Whether the network was ever broken: then the browser's own complaints about it are expected. */
    this.disturbed = false
    /** How many connections were accepted. */
    this.accepted = 0
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`
  }

  /** How many connections are open. */
  get open() {
    return this.#pairs.size
  }

  /** Ends every connection at once, as a router that restarts does. New ones are taken. */
  cut() {
    this.disturbed = true
    for (const pair of this.#pairs) pair.destroy()
  }

  /** Ends every connection and ends new ones as they come, until `resume()`. */
  refuse() {
    this.#mode = 'refusing'
    this.cut()
  }

  /**
   * Keeps every connection open and forwards nothing in either direction, until `resume()`.
   * @param {'both' | 'sent'} [what] `sent`: only what pages send is kept back, and they go on hearing of the server
   */
  hold(what = 'both') {
    this.disturbed = true
    this.#isOneWay = what === 'sent'
    this.#mode = 'holding'
  }

  /**
   * Forwards everything this much later, in order.
   * @param {number} ms for each direction
   */
  delay(ms) {
    this.#delayMs = ms
  }

  /** Ends every fault. What was held goes on. */
  resume() {
    this.#mode = 'forwarding'
    this.#delayMs = 0
    for (const pair of this.#pairs) pair.flow()
  }

  /**
   * New connections go to another server; for a restart, which takes another port.
   * @param {number} port
   */
  retarget(port) {
    this.disturbed = true
    this.#targetPort = port
  }

  /** Ends everything. */
  async close() {
    for (const pair of this.#pairs) pair.destroy()
    if (!this.#listener.listening) return
    this.#listener.close()
    await once(this.#listener, 'close')
  }

  /** @param {net.Socket} socket */
  #accept(socket) {
    if (this.#mode === 'refusing') {
      socket.resetAndDestroy()
      this.dispatchEvent(new Event('refused'))
      return
    }
    this.accepted += 1
    const pair = new Pair(socket, net.connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true }), {
      held: (isSent) => this.#mode === 'holding' && (isSent || !this.#isOneWay),
      stuck: () => this.dispatchEvent(new Event('held')),
      delayMs: () => this.#delayMs,
    })
    this.#pairs.add(pair)
    pair.ended.then(() => {
      this.#pairs.delete(pair)
      this.dispatchEvent(new Event('ended'))
    })
    this.dispatchEvent(new Event('accepted'))
  }
}

/**
 * The two sockets of one connection.
 * @typedef {{ held: (isSent: boolean) => boolean, stuck: () => void, delayMs: () => number }} Faults
 */
class Pair {
  #near
  #far
  #directions

  /**
   * @param {net.Socket} near the page's
   * @param {net.Socket} far the server's
   * @param {Faults} faults
   */
  constructor(near, far, faults) {
    this.#near = near
    this.#far = far
    this.#directions = [new Direction(near, far, faults, true), new Direction(far, near, faults, false)]
    /** @type {Promise<void>} */
    this.ended = new Promise((resolve) => {
      for (const socket of [near, far]) {
        socket.setNoDelay(true)
        // An error is an end: what follows it, always, is 'close'.
        socket.on('error', () => {})
        socket.on('close', () => {
          this.destroy()
          resolve()
        })
      }
    })
  }

  flow() {
    for (const direction of this.#directions) direction.flow()
  }

  destroy() {
    this.#near.destroy()
    this.#far.destroy()
  }
}

/** Bytes from one socket to another, in order, each chunk not before it is due. */
class Direction {
  /** @type {{ due: number, chunk: Buffer | null }[]} null is the end */ #queue = []
  #bytes = 0
  /** @type {NodeJS.Timeout | undefined} */ #timer
  #to
  #from
  #faults
  #isSent

  /**
   * @param {net.Socket} from
   * @param {net.Socket} to
   * @param {Faults} faults
   * @param {boolean} isSent by the page
   */
  constructor(from, to, faults, isSent) {
    this.#isSent = isSent
    this.#from = from
    this.#to = to
    this.#faults = faults
    from.on('data', (chunk) => this.#take(chunk))
    from.on('end', () => this.#take(null))
    to.on('drain', () => this.flow())
    to.on('close', () => clearTimeout(this.#timer))
  }

  /** @param {Buffer | null} chunk */
  #take(chunk) {
    this.#queue.push({ due: performance.now() + this.#faults.delayMs(), chunk })
    this.#bytes += chunk?.length ?? 0
    // What the proxy may keep is bounded; beyond it the sender feels a full socket, as on a real network.
    if (this.#bytes > HELD_BYTES_MAX) this.#from.pause()
    this.flow()
  }

  flow() {
    clearTimeout(this.#timer)
    while (this.#queue.length > 0 && !this.#to.writableNeedDrain) {
      if (this.#faults.held(this.#isSent)) {
        this.#faults.stuck()
        return
      }
      const wait = this.#faults.delayMs() === 0 ? 0 : this.#queue[0].due - performance.now()
      if (wait > 0) {
        this.#timer = setTimeout(() => this.flow(), wait)
        return
      }
      const { chunk } = /** @type {{ chunk: Buffer | null }} */ (this.#queue.shift())
      if (chunk === null) this.#to.end()
      else {
        this.#bytes -= chunk.length
        this.#to.write(chunk)
      }
    }
    if (this.#bytes <= HELD_BYTES_MAX) this.#from.resume()
  }
}
