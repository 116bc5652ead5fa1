/**
 * A world for one test: the demo's server, the proxy before it, and pages in a browser.
 *
 *     test('the counter counts', withWorld(async ({ open, proxy }) => {
 *       const page = await open()
 *       await page.getByRole('button', { name: '+1' }).click()
 *       proxy.cut()
 *       …
 *     }))
 *
 * A page that logs an error, throws, breaks the content security policy or is reloaded when the test did not
 * ask for it fails the test. Wait for what the page shows (`expectText`, playwright's own waiting), never for time.
 * @module
 */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { after, test as anyTest } from 'node:test'
import { fileURLToPath } from 'node:url'

import { chromium } from 'playwright-core'

import { Context, Page as OtherPage } from './driver/page.js'
import { CHROMIUM_ONLY, ENGINE, other } from './engines.js'
import { record } from './notices.js'
import { Proxy } from './proxy.js'
import { Server } from './server.js'

/** @import { BrowserContext, Page } from 'playwright-core' */
/**
 * What a test is given.
 * @typedef {object} World
 * @property {Server} server the server of now; another after `restart`
 * @property {Proxy} proxy
 * @property {BrowserContext} context
 * @property {(path?: string, way?: 'direct') => Promise<Page>} open a new tab, through the proxy or past it
 * @property {(page: Page) => Promise<Page>} duplicate what "duplicate tab" does: the same address and a copy of its storage
 * @property {(page: Page) => Promise<void>} reload what the person does; any other navigation fails the test
 * @property {(page: Page, path: string) => Promise<void>} leave what following a link to another page does
 * @property {(how?: 'stop' | 'kill') => Promise<void>} restart another server process behind the same address
 */

const OUT = fileURLToPath(new URL('./out/', import.meta.url))
/** How long a page may take to show what a test waits for. */
export const PATIENCE_MS = 20_000
const WIDTHS = [360, 1280]
const SCHEMES = /** @type {const} */ (['light', 'dark'])
/** What browsers themselves log about a network that a test has broken. */
export const NETWORK = /WebSocket connection to|Failed to fetch dynamically imported module|ERR_(CONNECTION|EMPTY_RESPONSE|INTERNET|NETWORK|SOCKET|ABORTED)|establish a connection to the server at|connection to ws\S+ was interrupted/

/** @typedef {{ context: () => Promise<BrowserContext>, close: () => Promise<void> }} Launched */
/** @type {Promise<Launched> | undefined} */
let browser

/** One browser for all tests of a file; contexts keep their pages apart. */
export function launch() {
  browser ??= ENGINE === 'chromium' ? launchChromium() : launchOther()
  return browser
}

/** What Playwright has Chromium leave out, so that pages behind others work as those in front do. */
const AWAKE = ['--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding']
let sleeps = false

/** For a file whose pages behind others are to be throttled, as a person's are; see {@link hide}. To be called before its tests. */
export function letPagesSleep() {
  sleeps = true
}

/**
 * Puts a page behind another one: it is hidden and its timers are throttled until `page.bringToFront()`.
 * @param {Page} page of a file that has called {@link letPagesSleep}
 */
export async function hide(page) {
  // Playwright keeps every page as if it had the focus, by its own connection to it, and has no option for that.
  const { delegate } = /** @type {any} */ (page)._connection.toImpl(page)
  await delegate._mainFrameSession._client.send('Emulation.setFocusEmulationEnabled', { enabled: false })
  const other = await page.context().newPage()
  await other.bringToFront()
  while (await page.evaluate(() => !document.hidden));
}

/** @returns {Promise<Launched>} */
async function launchChromium() {
  const launched = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // Chromium's own sandbox cannot start for root, as in a container; the pages are ours.
    chromiumSandbox: process.getuid?.() !== 0,
    // Pages that are left are kept, as for people.
    ignoreDefaultArgs: ['--disable-back-forward-cache', ...(sleeps ? AWAKE : [])],
  })
  const context = async () => {
    const made = await launched.newContext({ reducedMotion: 'reduce' })
    await made.addInitScript(record)
    return made
  }
  return { context, close: () => launched.close() }
}

/** @returns {Promise<Launched>} */
async function launchOther() {
  const engine = await other()
  const context = async () => /** @type {BrowserContext} */ (/** @type {unknown} */ (new Context(await engine.context())))
  return { context, close: engine.close }
}

/** To be called in an `after` of each file. */
export async function closeBrowser() {
  await (await browser)?.close()
  browser = undefined
}

const left = /** @type {string[]} */ ([])

/**
 * node's `test`, but for what only Chromium can do: see `engines.js`.
 * @param {string} title
 * @param {() => Promise<void>} body
 */
export function test(title, body) {
  const file = path.basename(process.argv[1] ?? '')
  const why = ENGINE === 'chromium' ? undefined : (CHROMIUM_ONLY.get(file) ?? CHROMIUM_ONLY.get(title))
  if (why === undefined) return void anyTest(title, body)
  if (left.length === 0) after(() => console.log(`${left.length} of ${file} for Chromium only:\n${left.join('\n')}`))
  left.push(`  ${title}: ${why}`)
}

/**
 * A test's body with a world of its own, which ends with it, whatever happened.
 * @param {(world: World) => Promise<void>} body
 * @param {{ options?: string[], program?: string }} [setup] options: for the server; program: another example than the demo
 * @returns {() => Promise<void>}
 */
export function withWorld(body, { options = [], program } = {}) {
  return async () => {
    const complaints = /** @type {string[]} */ ([])
    const servers = [await Server.start(options, program)]
    /** @type {Proxy | undefined} */
    let proxy
    /** @type {BrowserContext | undefined} */
    let context
    try {
      proxy = await Proxy.start(servers[0].port)
      context = await (await launch()).context()
      context.setDefaultTimeout(PATIENCE_MS)
      await body(world(servers, proxy, context, complaints, options))
      if (context instanceof Context) await context.drain()
      assert.deepEqual(complaints, [], 'a page complained')
    } catch (error) {
      await shootAll(context)
      throw new Error(report(servers, complaints), { cause: error })
    } finally {
      await context?.close()
      await proxy?.close()
      for (const server of servers) await server.kill()
    }
  }
}

/**
 * @param {Server[]} servers
 * @param {Proxy} proxy
 * @param {BrowserContext} context
 * @param {string[]} complaints
 * @param {string[]} options
 * @returns {World}
 */
function world(servers, proxy, context, complaints, options) {
  const watched = /** @type {WeakMap<Page, { loads: number }>} */ (new WeakMap())
  /** @param {Page} page */
  const watch = (page) => {
    const state = { loads: 0 }
    watched.set(page, state)
    page.on('pageerror', (error) => {
      const text = String(error.stack ?? error)
      // What Firefox says of a broken network looks like something thrown.
      if (!proxy.disturbed || !NETWORK.test(text)) complaints.push(`thrown: ${text}`)
    })
    page.on('console', (message) => {
      if (message.type() !== 'error' || (proxy.disturbed && NETWORK.test(message.text()))) return
      complaints.push(`logged: ${message.text()}`)
    })
    page.on('domcontentloaded', () => {
      state.loads -= 1
      if (state.loads < 0) complaints.push(`the page at ${page.url()} was loaded again`)
    })
  }
  /** @param {Page} page */
  const expectLoad = (page) => {
    const state = watched.get(page)
    assert(state, 'a page of another world')
    state.loads += 1
  }
  return {
    get server() {
      return servers[servers.length - 1]
    },
    proxy,
    context,
    async open(path = '/', way) {
      const page = await context.newPage()
      watch(page)
      await reportViolations(page)
      expectLoad(page)
      await page.goto((way === 'direct' ? servers[servers.length - 1].url : proxy.url) + path)
      return page
    },
    async duplicate(page) {
      // A page that a page opens begins with a copy of its sessionStorage, as a duplicated tab does.
      const [twin] = await Promise.all([
        context.waitForEvent('page').then((twin) => {
          watch(twin)
          expectLoad(twin)
          return twin
        }),
        page.evaluate(() => void window.open(location.href)),
      ])
      await twin.waitForLoadState()
      return twin
    },
    async reload(page) {
      expectLoad(page)
      await page.reload()
    },
    async leave(page, path) {
      expectLoad(page)
      await page.evaluate((path) => void setTimeout(() => location.assign(path)), path)
      await page.waitForFunction((path) => location.pathname === path, path)
    },
    async restart(how = 'stop') {
      proxy.disturbed = true
      const code = await servers[servers.length - 1][how]()
      if (how === 'stop') assert.equal(code, 0, 'the server did not end gracefully')
      servers.push(await Server.start(options))
      proxy.retarget(servers[servers.length - 1].port)
    },
  }
}

/** @param {Page} page */
async function reportViolations(page) {
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`)
    })
  })
}

/**
 * Waits until an element's text is, or matches, what is expected.
 * @param {Page} page
 * @param {string} selector
 * @param {string | RegExp} expected
 */
export async function expectText(page, selector, expected) {
  const isRegExp = expected instanceof RegExp
  const wanted = { selector, isRegExp, source: isRegExp ? expected.source : expected, flags: isRegExp ? expected.flags : '' }
  try {
    // A function and its argument, and no text: the page's policy allows no evaluation.
    await page.waitForFunction(
      ({ selector, isRegExp, source, flags }) => {
        const text = document.querySelector(selector)?.textContent?.trim()
        return text !== undefined && (isRegExp ? new RegExp(source, flags).test(text) : text === source)
      },
      wanted,
      { timeout: PATIENCE_MS },
    )
  } catch {
    const actual = await page.evaluate((selector) => document.querySelector(selector)?.textContent?.trim(), selector)
    assert.fail(`${selector} shows ${JSON.stringify(actual)} and not ${expected}`)
  }
}

/**
 * Pictures of a page, 360 and 1,280 pixels wide, light and dark, to `tests/browser/out/`; fails when the page
 * is wider than the window.
 * @param {Page} page
 * @param {string} name
 */
export async function screenshots(page, name) {
  await mkdir(OUT, { recursive: true })
  const before = page.viewportSize()
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 })
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: `${OUT}${name}-${width}-${colorScheme}.png`, fullPage: true })
    }
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(overflow <= 0, `${name} is ${overflow} pixels wider than a window of ${width}`)
  }
  await page.emulateMedia({ colorScheme: null })
  if (before) await page.setViewportSize(before)
}

/**
 * Runs a library's source in a page whose own policy lets nobody put a script into it; a debugger may.
 * @param {Page} page
 * @param {string} source
 */
export async function inject(page, source) {
  if (page instanceof OtherPage) return page.inject(source)
  const session = await page.context().newCDPSession(page)
  await session.send('Runtime.evaluate', { expression: source })
}

/** @param {BrowserContext | undefined} context */
async function shootAll(context) {
  await mkdir(OUT, { recursive: true })
  for (const [at, page] of (context?.pages() ?? []).entries()) {
    // The failure being reported matters more than its picture.
    await page.screenshot({ path: `${OUT}failed-${process.pid}-${at}.png` }).catch(() => {})
  }
}

/**
 * @param {Server[]} servers
 * @param {string[]} complaints
 */
function report(servers, complaints) {
  const logs = servers.map((server) => `the server at ${server.url} printed:\n${server.log}`)
  return [...complaints.map((complaint) => `the page ${complaint}`), ...logs].join('\n')
}
