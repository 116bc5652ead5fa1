/**
 * Firefox as it is shipped, over WebDriver BiDi: what Playwright says to its own Firefox, this one does not understand.
 *
 * Needs `WebSocket`, which node has since version 22, and before with `--experimental-websocket`.
 * @module
 */

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

/** @import { ChildProcess } from 'node:child_process' */
/** @import { Complaint, Engine, Remote, Tab } from './page.js' */

/** Nothing leaves the machine, nothing asks, and nothing moves. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.page': 0,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.disable_open_during_load': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.server': 'data:,',
  // A mouse, which a machine without a screen does not say that it has: fine, and it hovers.
  'ui.allPointerCapabilities': 6,
  'ui.primaryPointerCapabilities': 6,
  'ui.prefersReducedMotion': 1,
}
const EVENTS = ['browsingContext.contextCreated', 'browsingContext.domContentLoaded', 'log.entryAdded']

/** @type {(program: string) => Promise<Engine>} */
export async function firefox(program) {
  const profile = await mkdtemp(path.join(tmpdir(), 'windlass-firefox-'))
  const lines = Object.entries(PREFERENCES).map((pair) => `user_pref(${pair.map((part) => JSON.stringify(part)).join(', ')});`)
  await writeFile(path.join(profile, 'user.js'), lines.join('\n'))
  const child = spawn(program, ['--headless', '--no-remote', '--remote-debugging-port=0', '--profile', profile], {
    env: { ...process.env, HOME: profile },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const link = await Link.open(await listening(child, program))
  await link.send('session.new', { capabilities: {} })
  await link.send('session.subscribe', { events: EVENTS })
  return {
    async context() {
      const { userContext } = await link.send('browser.createUserContext')
      return remote(link, userContext)
    },
    async close() {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      await link.send('browser.close').catch(() => child.kill())
      await gone
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/**
 * @param {ChildProcess} child
 * @param {string} program
 * @returns {Promise<string>}
 */
function listening(child, program) {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`${program}: ${error.message}; on Debian: apt-get install firefox-esr`)))
    child.on('exit', (code) => reject(new Error(`${program} ended with ${code} before it listened`)))
    createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stderr) }).on('line', (line) => {
      const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line)
      if (found) resolve(`${found[1]}/session`)
    })
  })
}

/** Commands and their answers, and events. */
class Link extends EventTarget {
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */ #waiting = new Map()
  #id = 0
  #socket

  /** @param {string} url */
  static async open(url) {
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => {
      socket.onopen = resolve
      socket.onerror = () => reject(new Error(`no WebDriver BiDi at ${url}`))
    })
    return new Link(socket)
  }

  /** @param {WebSocket} socket */
  constructor(socket) {
    super()
    this.#socket = socket
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if (message.type === 'event') this.dispatchEvent(new CustomEvent(message.method, { detail: message.params }))
      else if (message.type === 'error') waiting?.reject(new Error(`${message.error}: ${message.message}`))
      else waiting?.resolve(message.result)
    }
    socket.onclose = () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('Firefox has gone'))
    }
  }

  /**
   * @param {string} method
   * @param {object} [params]
   * @returns {Promise<any>}
   */
  send(method, params = {}) {
    this.#socket.send(JSON.stringify({ id: ++this.#id, method, params }))
    return new Promise((resolve, reject) => this.#waiting.set(this.#id, { resolve, reject }))
  }
}

/**
 * @param {Link} link
 * @param {string} userContext
 * @returns {Remote}
 */
function remote(link, userContext) {
  /** @type {Map<string, FirefoxTab>} */
  const tabs = new Map()
  /** @type {Map<string, (tab: Tab) => void>} */
  const opened = new Map()
  const ended = new AbortController()
  /** @type {(name: string, handle: (params: any) => void) => void} */
  const on = (name, handle) => link.addEventListener(name, (event) => handle(/** @type {CustomEvent} */ (event).detail), { signal: ended.signal })
  on('browsingContext.contextCreated', ({ context, originalOpener, userContext: of }) => {
    if (of !== userContext || !originalOpener) return
    const tab = new FirefoxTab(link, context)
    tabs.set(context, tab)
    opened.get('')?.(tab)
  })
  on('browsingContext.domContentLoaded', ({ context, url }) => {
    if (url !== 'about:blank') tabs.get(context)?.loaded()
  })
  on('log.entryAdded', ({ source, type, level, text, stackTrace }) => {
    if (level !== 'error') return
    const at = stackTrace?.callFrames?.[0]
    const where = at ? ` at ${at.url}:${at.lineNumber}` : ''
    tabs.get(source.context)?.complain({ kind: type === 'console' ? 'logged' : 'thrown', text: text + (type === 'console' ? '' : where) })
  })
  return {
    async tab() {
      const { context } = await link.send('browsingContext.create', { type: 'window', userContext })
      const tab = new FirefoxTab(link, context)
      tabs.set(context, tab)
      return tab
    },
    opened: () => new Promise((resolve) => opened.set('', resolve)),
    async close() {
      ended.abort()
      await link.send('browser.removeUserContext', { userContext })
    },
  }
}

/** @implements {Tab} */
class FirefoxTab {
  /** @type {(complaint: Complaint) => void} */ complain = () => {}
  loaded = () => {}
  #link
  #context

  /**
   * @param {Link} link
   * @param {string} context
   */
  constructor(link, context) {
    this.#link = link
    this.#context = context
  }

  /** @param {string} source */
  async begin(source) {
    await this.#link.send('script.addPreloadScript', { functionDeclaration: source, contexts: [this.#context] })
  }

  /**
   * @param {string} source
   * @param {string} argument
   */
  async call(source, argument) {
    const answer = await this.#link.send('script.callFunction', {
      functionDeclaration: source,
      arguments: [{ type: 'string', value: argument }],
      target: { context: this.#context },
      awaitPromise: true,
      userActivation: true,
    })
    if (answer.type === 'exception') throw new Error(answer.exceptionDetails.text)
    return answer.result.value
  }

  /** @param {string} url */
  async go(url) {
    await this.#send('browsingContext.navigate', { url, wait: 'complete' })
  }

  async reload() {
    await this.#send('browsingContext.reload', { wait: 'complete' })
  }

  /** @param {number} delta */
  async traverse(delta) {
    await this.#send('browsingContext.traverseHistory', { delta })
  }

  /** @param {object[]} actions */
  async act(actions) {
    await this.#send('input.performActions', { actions })
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  async resize(width, height) {
    await this.#send('browsingContext.setViewport', { viewport: { width, height } })
  }

  async picture() {
    return (await this.#send('browsingContext.captureScreenshot')).data
  }

  async drain() {}

  /**
   * @param {string} method
   * @param {object} [params]
   */
  #send(method, params) {
    return this.#link.send(method, { context: this.#context, ...params })
  }
}
