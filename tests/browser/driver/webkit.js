/**
 * WebKitGTK's MiniBrowser over WebDriver, on a display of its own that nobody sees.
 *
 * WebDriver has no events: what a page complains of is kept in the page and fetched, and a page that was loaded again is
 * known by what is not there any more.
 * @module
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** @import { Readable } from 'node:stream' */
/** @import { Complaint, Engine, Remote, Tab } from './page.js' */

const DRIVER = '/usr/bin/WebKitWebDriver'
const INSTALL = 'on Debian: apt-get install webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb'
/** How long the driver may take to listen, and a page to be there. */
const PATIENCE_MS = 20_000

/** @type {(program: string) => Promise<Engine>} */
export async function webkit(program) {
  await Promise.all([DRIVER, program].map((file) => access(file).catch(() => Promise.reject(new Error(`there is no ${file}; ${INSTALL}`)))))
  const home = await mkdtemp(path.join(tmpdir(), 'windlass-webkit-'))
  await mkdir(path.join(home, 'gtk-3.0'))
  // What GTK calls no animations, a page sees as reduced motion.
  await writeFile(path.join(home, 'gtk-3.0', 'settings.ini'), '[Settings]\ngtk-enable-animations=0\n')
  const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1600x1200x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const missing = once(screen, 'error').then(([error]) => Promise.reject(new Error(`Xvfb: ${error.message}; ${INSTALL}`)))
  const [display] = await Promise.race([once(/** @type {Readable} */ (screen.stdio[3]), 'data'), missing])
  const port = await freePort()
  const driver = spawn(DRIVER, [`--port=${port}`], {
    env: {
      ...process.env,
      DISPLAY: `:${String(display).trim()}`,
      XDG_CONFIG_HOME: home,
      XDG_CACHE_HOME: home,
      XDG_DATA_HOME: home,
      // A sandbox of processes cannot be made in a container; the pages are ours.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      GDK_BACKEND: 'x11',
      NO_AT_BRIDGE: '1',
    },
    stdio: 'ignore',
  })
  const url = `http://127.0.0.1:${port}`
  await patiently(() => fetch(`${url}/status`), 'WebKitWebDriver does not listen')
  return {
    async context() {
      const options = { binary: program, args: ['--automation'] }
      const capabilities = { pageLoadStrategy: 'none', 'webkitgtk:browserOptions': options }
      const { sessionId } = await command('POST', `${url}/session`, { capabilities: { alwaysMatch: capabilities } })
      return new Session(`${url}/session/${sessionId}`)
    },
    async close() {
      for (const child of [driver, screen]) {
        const gone = once(child, 'exit')
        child.kill()
        await gone
      }
      await rm(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {net.AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}

/**
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {string} complaint
 */
async function patiently(attempt, complaint) {
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(20)) {
    try {
      return await attempt()
    } catch (cause) {
      if (Date.now() > until) throw new Error(complaint, { cause })
    }
  }
}

/**
 * @param {'GET' | 'POST' | 'DELETE'} method
 * @param {string} url
 * @param {object} [body]
 */
async function command(method, url, body) {
  const response = await fetch(url, { method, body: method === 'POST' ? JSON.stringify(body ?? {}) : undefined })
  const { value } = /** @type {any} */ (await response.json())
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`)
  return value
}

/**
 * One browser with its windows. A command goes to the window that is chosen, so they go one after another.
 * @implements {Remote}
 */
class Session {
  #url
  #last = Promise.resolve()
  #chosen = ''
  /** @type {Set<string>} */ #known = new Set()

  /** @param {string} url */
  constructor(url) {
    this.#url = url
  }

  async tab() {
    const [first] = this.#known.size === 0 ? await this.handles() : []
    const handle = first ?? (await this.send('', 'POST', '/window/new', { type: 'window' })).handle
    this.#known.add(handle)
    return new WebKitTab(this, handle)
  }

  async opened() {
    const handle = await patiently(async () => {
      const fresh = (await this.handles()).find((handle) => !this.#known.has(handle))
      if (!fresh) throw new Error('none yet')
      return fresh
    }, 'no window was opened')
    this.#known.add(handle)
    return new WebKitTab(this, handle)
  }

  /** @returns {Promise<string[]>} */
  handles() {
    return this.send('', 'GET', '/window/handles')
  }

  async close() {
    await command('DELETE', this.#url)
  }

  /**
   * @param {string} handle of the window; none where that does not matter
   * @param {'GET' | 'POST' | 'DELETE'} method
   * @param {string} at
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  send(handle, method, at, body) {
    const sent = this.#last.then(async () => {
      if (handle && handle !== this.#chosen) {
        await command('POST', `${this.#url}/window`, { handle })
        this.#chosen = handle
      }
      return command(method, this.#url + at, body)
    })
    this.#last = sent.then(() => {}, () => {})
    return sent
  }
}

/** @implements {Tab} */
class WebKitTab {
  /** @type {(complaint: Complaint) => void} */ complain = () => {}
  loaded = () => {}
  #session
  #handle
  #source = '() => {}'

  /**
   * @param {Session} session
   * @param {string} handle
   */
  constructor(session, handle) {
    this.#session = session
    this.#handle = handle
  }

  /** @param {string} source */
  async begin(source) {
    this.#source = source
  }

  /**
   * @param {string} source
   * @param {string} argument
   */
  call(source, argument) {
    const script = `const done = arguments[arguments.length - 1]; (${source})(arguments[0]).then(done)`
    return this.#send('POST', '/execute/async', { script, args: [argument] })
  }

  /** @param {string} url */
  async go(url) {
    await this.#send('POST', '/url', { url })
    await this.#arrived()
  }

  async reload() {
    await this.drain()
    await this.#send('POST', '/refresh')
    await this.#arrived()
  }

  /** @param {number} delta */
  async traverse(delta) {
    await this.#send('POST', delta < 0 ? '/back' : '/forward')
  }

  /** @param {object[]} actions */
  async act(actions) {
    await this.#send('POST', '/actions', { actions })
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  async resize(width, height) {
    // The window is larger than the page by what is around it.
    const [wide, high] = JSON.parse(await this.call('async () => JSON.stringify([outerWidth - innerWidth, outerHeight - innerHeight])', ''))
    await this.#send('POST', '/window/rect', { width: width + wide, height: height + high })
  }

  picture() {
    return this.#send('GET', '/screenshot')
  }

  /** Fetches what the page complained of since it was loaded. */
  async drain() {
    const text = await this.call('async () => JSON.stringify(window.complaints?.splice(0) ?? null)', '').catch(() => '[]')
    const complaints = /** @type {Complaint[] | null} */ (JSON.parse(text))
    if (complaints === null) this.loaded()
    for (const complaint of complaints ?? []) this.complain(complaint)
  }

  /** Waits for another document than the last, watches it from as early as can be, and waits until it is there. */
  async #arrived() {
    const watch = `async () => {
      if (window.complaints || location.href === 'about:blank') throw new Error('it is the document of before')
      ;(${this.#source})()
    }`
    const wrapped = `async () => { try { await (${watch})(); return '' } catch (error) { return String(error) } }`
    await patiently(async () => {
      const error = await this.call(wrapped, '')
      if (error !== '') throw new Error(error)
    }, 'the page does not come')
    this.loaded()
    await patiently(async () => {
      if (await this.call("async () => document.readyState", '') !== 'complete') throw new Error('it is loading')
    }, 'the page is not loaded to its end')
  }

  /**
   * @param {'GET' | 'POST'} method
   * @param {string} at
   * @param {object} [body]
   */
  #send(method, at, body) {
    return this.#session.send(this.#handle, method, at, body)
  }
}
