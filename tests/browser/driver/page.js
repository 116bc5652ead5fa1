/**
 * The part of Playwright's pages that the tests use, for engines that Playwright cannot drive as they are shipped.
 *
 * An engine gives contexts, a context gives tabs, and a tab calls functions in its page, goes somewhere and acts: see
 * `firefox.js` and `webkit.js`. All else is here and in `locator.js`, and behaves as with Playwright: it waits for what
 * it needs, and fails when it does not come.
 * @module
 */

import { EventEmitter } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { record } from '../notices.js'
import { watch } from './inside.js'
import { strokes } from './keys.js'
import { byRole, byText, Locator } from './locator.js'

/** @import { Filter } from './locator.js' */

/**
 * @typedef {object} Engine
 * @property {() => Promise<Remote>} context pages that share their storage, and with no other context
 * @property {() => Promise<void>} close
 */
/**
 * @typedef {object} Remote
 * @property {() => Promise<Tab>} tab
 * @property {() => Promise<Tab>} opened the next that a page opens
 * @property {() => Promise<void>} close
 */
/**
 * @typedef {object} Tab
 * @property {(complaint: Complaint) => void} complain called with what the page complains of
 * @property {() => void} loaded called when a document is there
 * @property {(source: string) => Promise<void>} begin what each document does first
 * @property {(source: string, argument: string) => Promise<string>} call an async function from a text to a text
 * @property {(url: string) => Promise<void>} go
 * @property {() => Promise<void>} reload
 * @property {(delta: number) => Promise<void>} traverse
 * @property {(actions: object[]) => Promise<void>} act WebDriver's actions
 * @property {(width: number, height: number) => Promise<void>} resize
 * @property {() => Promise<string>} picture PNG in base 64
 * @property {() => Promise<void>} drain until all complaints are told
 */
/** @typedef {{ kind: 'logged' | 'thrown', text: string }} Complaint */

/** How often a page is asked for what is waited for. */
const POLL_MS = 25
const KEYBOARD = 'keyboard'
const MOUSE = 'mouse'

export class Context extends EventEmitter {
  /** @type {Page[]} */ #pages = []
  #remote
  timeout_ms = 20_000
  /** Requests outside of a page. */
  request = {
    /** @param {string} url */
    async get(url) {
      const response = await fetch(url)
      const [text, headers] = [await response.text(), Object.fromEntries(response.headers)]
      return { status: () => response.status, headers: () => headers, text: async () => text }
    },
  }

  /** @param {Remote} remote */
  constructor(remote) {
    super()
    this.#remote = remote
  }

  async newPage() {
    return this.#page(await this.#remote.tab())
  }

  pages() {
    return this.#pages
  }

  /** @param {number} timeout_ms */
  setDefaultTimeout(timeout_ms) {
    this.timeout_ms = timeout_ms
  }

  /** Only 'page', one that a page opens. @param {'page'} _type */
  async waitForEvent(_type) {
    return this.#page(await this.#remote.opened())
  }

  newCDPSession() {
    throw new Error('only Chromium has a debugger like that: put the test on the list in engines.js')
  }

  /** Until all that the pages complained of is told. */
  async drain() {
    for (const page of this.#pages) await page.drain()
  }

  async close() {
    await this.#remote.close()
  }

  /** @param {Tab} tab */
  async #page(tab) {
    const page = new Page(tab, this)
    await tab.begin(`() => { (${watch})(); (${record})() }`)
    this.#pages.push(page)
    return page
  }
}

export class Page extends EventEmitter {
  #tab
  #context
  #size = { width: 1280, height: 720 }
  keyboard

  /**
   * @param {Tab} tab
   * @param {Context} context
   */
  constructor(tab, context) {
    super()
    this.#tab = tab
    this.#context = context
    this.keyboard = new Keyboard(tab)
    tab.loaded = () => void this.emit('domcontentloaded')
    tab.complain = ({ kind, text }) => {
      if (kind === 'thrown') this.emit('pageerror', text)
      else this.emit('console', { type: () => 'error', text: () => text })
    }
  }

  context() {
    return this.#context
  }

  url() {
    return 'a page of another engine'
  }

  /** @param {string} url */
  async goto(url) {
    await this.setViewportSize(this.#size)
    await this.#tab.go(url)
  }

  async reload() {
    await this.#tab.reload()
  }

  async goBack() {
    await this.#tab.traverse(-1)
  }

  async goForward() {
    await this.#tab.traverse(1)
  }

  async drain() {
    await this.#tab.drain()
  }

  /** Every document is watched from its beginning: see `watch`. */
  async addInitScript() {}

  /** The scheme of the engine is what it is; only Chromium can be told. */
  async emulateMedia() {}

  viewportSize() {
    return this.#size
  }

  /** @param {{ width: number, height: number }} size */
  async setViewportSize(size) {
    this.#size = size
    await this.#tab.resize(size.width, size.height)
  }

  /** @param {{ path: string }} options what is in the window */
  async screenshot({ path }) {
    await writeFile(path, Buffer.from(await this.#tab.picture(), 'base64'))
  }

  async waitForLoadState() {
    await this.waitForFunction(() => document.readyState === 'complete')
  }

  /**
   * @template [A=unknown]
   * @template [R=unknown]
   * @param {(argument: A) => R | Promise<R>} body
   * @param {A} [argument]
   * @returns {Promise<R>}
   */
  evaluate(body, argument) {
    return this.run(`(json) => (${body})(JSON.parse(json))`, argument ?? null)
  }

  /** Runs text as a script, as a debugger may. @param {string} source */
  async inject(source) {
    await this.run(`() => { ${source}\n }`, null)
  }

  /**
   * @template [A=unknown]
   * @param {(argument: A) => unknown} body
   * @param {A} [argument]
   * @param {{ timeout?: number }} [options]
   */
  async waitForFunction(body, argument, { timeout } = {}) {
    await this.until(async () => ((await this.evaluate(body, argument)) ? true : undefined), String(body), timeout)
  }

  /**
   * @template T
   * @param {() => Promise<T | undefined>} attempt
   * @param {string} what
   * @param {number} [timeout_ms]
   * @returns {Promise<T>}
   */
  async until(attempt, what, timeout_ms = this.#context.timeout_ms) {
    for (const end = Date.now() + timeout_ms; ; await sleep(POLL_MS)) {
      /** @type {unknown} */
      let cause
      try {
        const found = await attempt()
        if (found !== undefined) return found
      } catch (error) {
        // A page on its way to the next document answers nothing; what its own script threw is no accident.
        if (error instanceof ThrownInside) throw error
        cause = error
      }
      if (Date.now() > end) throw new Error(`after ${timeout_ms} ms still not: ${what}`, { cause })
    }
  }

  /**
   * @param {string} source of a function from JSON, in the page
   * @param {unknown} argument
   */
  async run(source, argument) {
    const wrapped = `async (json) => {
      try { return JSON.stringify({ value: await (${source})(json) }) }
      catch (error) { return JSON.stringify({ error: String(error?.message ?? error), stack: error?.stack }) }
    }`
    const { value, error, stack } = JSON.parse(await this.#tab.call(wrapped, JSON.stringify(argument)))
    if (error !== undefined) throw new ThrownInside(`${error}\n${stack}`)
    return value
  }

  /**
   * @param {{ x: number, y: number }} at
   * @param {number} clicks none: the pointer only goes there
   */
  async point({ x, y }, clicks) {
    const once = [{ type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }]
    const actions = [{ type: 'pointerMove', x, y, duration: 0 }, ...Array.from({ length: clicks }, () => once).flat()]
    await this.#tab.act([{ type: 'pointer', id: MOUSE, parameters: { pointerType: 'mouse' }, actions }])
  }

  /**
   * @param {string} selector
   * @param {Filter} [filter]
   */
  locator(selector, filter) {
    return new Locator(this, []).locator(selector, filter)
  }

  /**
   * @param {string} role
   * @param {{ name?: string | RegExp, exact?: boolean }} [options]
   */
  getByRole(role, options) {
    return new Locator(this, byRole(role, options))
  }

  /** @param {string | RegExp} text */
  getByText(text) {
    return new Locator(this, byText(text))
  }
}

/** What was thrown by what a test had done in a page. */
export class ThrownInside extends Error {}

class Keyboard {
  #tab

  /** @param {Tab} tab */
  constructor(tab) {
    this.#tab = tab
  }

  /** One key, or several at once: `Control+A`. @param {string} key */
  async press(key) {
    await this.#act(strokes(key))
  }

  /**
   * @param {string} text
   * @param {{ delay?: number }} [options]
   */
  async type(text, { delay = 0 } = {}) {
    for (const letter of text) {
      await this.press(letter)
      if (delay > 0) await sleep(delay)
    }
  }

  /** @param {object[]} actions */
  async #act(actions) {
    await this.#tab.act([{ type: 'key', id: KEYBOARD, actions }])
  }
}
