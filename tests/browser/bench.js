/**
 * `cargo xtask bench page`: from a click to the paint that shows it, against a page that does the same from local data.
 *
 * Both pages are open in one Chromium and take turns, so that what disturbs one disturbs the other. Prints a JSON line a
 * figure; exits 1 when a budget is missed by the better quartile.
 *
 * @module
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { chromium } from 'playwright-core'

/** @import { CDPSession, Page } from 'playwright-core' */
/** @typedef {{ ms: number, bytes: number }} Measured */
/** @typedef {{ name: string, click: string, done: string, measured: boolean }} Step */

const [, , program = '', roundsText = '7'] = process.argv
const ROUNDS = Number(roundsText)
/** A budget of the design: no more than this many times the plain page, plus one round trip. */
const RATIO_MAX = 1.5
/** After five times a thousand rows and back the heap is what it was, but for this. */
const HEAP_RATIO_MAX = 1.1
/** Bytes of heap a row of three bindings and two events. */
const ROW_BYTES_MAX = 1300
const ROWS = 10_000

/** `done` is what the rows are when the step is over: see `steps` in the page. @type {Step[]} */
const STEPS = [
  { name: 'create 1,000', click: '#run', done: 'rows=1000', measured: true },
  { name: 'select', click: 'tbody tr:nth-child(2) td:nth-child(2) a', done: 'danger=2', measured: true },
  { name: 'swap', click: '#swaprows', done: 'swapped', measured: true },
  { name: 'remove', click: 'tbody tr:nth-child(4) td:nth-child(3) span', done: 'rows=999', measured: true },
  { name: 'append 1,000', click: '#add', done: 'rows=1999', measured: true },
  { name: 'clear', click: '#clear', done: 'rows=0', measured: true },
  { name: 'create 10,000', click: '#runlots', done: 'rows=10000', measured: false },
  { name: 'update every 10th of 10,000', click: '#update', done: 'marked', measured: true },
  { name: 'clear 10,000', click: '#clear', done: 'rows=0', measured: false },
]

const server = spawn(program, ['--addr', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] })
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  chromiumSandbox: process.getuid?.() !== 0,
  args: ['--js-flags=--expose-gc'],
})
let fellShort = false
try {
  const url = await listening()
  const live = await open(`${url}/`)
  await live.page.waitForFunction(async () => (await import('/windlass/windlass.js')).app.connection.state === 'live')
  const plain = await open(`${url}/plain.html`)
  const roundTrip = spread(await roundTrips(live.page))
  figure('round trip (ms)', roundTrip, null)
  const found = new Map(STEPS.map((step) => [step.name, { live: /** @type {Measured[]} */ ([]), plain: /** @type {Measured[]} */ ([]) }]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const step of STEPS) {
      for (const side of /** @type {const} */ (['live', 'plain'])) {
        const measured = await run(side === 'live' ? live : plain, step)
        // The first round warms both up.
        if (round > 0) found.get(step.name)?.[side].push(measured)
      }
    }
  }
  for (const { name, measured } of STEPS) {
    const of = found.get(name)
    if (!measured || !of) continue
    const plainMs = spread(of.plain.map(({ ms }) => ms))
    figure(`${name}: plain (ms)`, plainMs, null)
    const budget = plainMs.median * RATIO_MAX + roundTrip.median
    figure(`${name}: windlass (ms)`, spread(of.live.map(({ ms }) => ms)), budget)
    figure(`${name}: received (bytes)`, spread(of.live.map(({ bytes }) => bytes)), null)
  }
  await heap(live)
} finally {
  await browser.close()
  server.kill()
}
process.exitCode = fellShort ? 1 : 0

/** @returns {Promise<string>} */
async function listening() {
  for await (const line of createInterface({ input: server.stdout })) {
    const found = /listening on (http:\/\/\S+)/.exec(line)
    if (found) return found[1]
  }
  const [code] = await once(server, 'exit')
  throw new Error(`${program} ended with ${code}`)
}

/** @typedef {{ page: Page, session: CDPSession, received: () => number }} Opened */

/**
 * @param {string} url
 * @returns {Promise<Opened>}
 */
async function open(url) {
  const page = await (await browser.newContext()).newPage()
  let received = 0
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => (received += payload.length)))
  await page.goto(url)
  return { page, session: await page.context().newCDPSession(page), received: () => received }
}

/**
 * Clicks, and takes the time until the frame that shows it is painted.
 * @param {Opened} opened
 * @param {Step} step
 * @returns {Promise<Measured>}
 */
async function run({ page, session, received }, { click, done }) {
  await page.bringToFront()
  await session.send('HeapProfiler.collectGarbage')
  const before = received()
  const ms = await page.evaluate(async ({ click, done }) => {
    const [what, wanted] = done.split('=')
    const body = /** @type {Element} */ (document.querySelector('tbody'))
    const row = (/** @type {number} */ at) => body.querySelector(`tr:nth-child(${at})`)
    const second = row(2)
    const marks = row(1)?.textContent?.split('!!!').length
    const isDone = () => {
      if (what === 'rows') return body.querySelectorAll('tr').length === Number(wanted)
      if (what === 'danger') return row(Number(wanted))?.className === 'danger'
      if (what === 'swapped') return row(999) === second
      const last = row(body.childElementCount - 9)
      return row(1)?.textContent?.split('!!!').length !== marks && !!last?.textContent?.endsWith('!!!')
    }
    const channel = new MessageChannel()
    const painted = () =>
      new Promise((resolve) => {
        channel.port1.onmessage = resolve
        // A message that is sent in a frame comes when that frame is painted.
        requestAnimationFrame(() => channel.port2.postMessage(null))
      })
    const target = /** @type {HTMLElement} */ (document.querySelector(click))
    // From the start of a frame, so that both pages have as long to go to the next. A page that was at rest is given its
    // first frame wherever the display's interval has got to, and only the second at the start of one.
    await painted()
    await painted()
    const from = performance.now()
    target.click()
    do await painted()
    while (!isDone())
    return performance.now() - from
  }, { click, done })
  return { ms, bytes: received() - before }
}

/**
 * How long the server's answer to an action that does nothing takes.
 * @param {Page} page
 * @returns {Promise<number[]>}
 */
async function roundTrips(page) {
  return page.evaluate(async () => {
    const { app } = await import('/windlass/windlass.js')
    const taken = []
    for (let n = 0; n < 30; n++) {
      const from = performance.now()
      await app.action('nothing')
      taken.push(performance.now() - from)
    }
    return taken
  })
}

/** @param {Opened} live */
async function heap({ page, session }) {
  const step = (/** @type {string} */ click, /** @type {string} */ done) => run({ page, session, received: () => 0 }, { name: '', click, done, measured: false })
  const used = async () => {
    for (let n = 0; n < 3; n++) await session.send('HeapProfiler.collectGarbage')
    return (await session.send('Runtime.getHeapUsage')).usedSize
  }
  const before = await used()
  for (let n = 0; n < 5; n++) {
    await step('#run', 'rows=1000')
    await step('#clear', 'rows=0')
  }
  figure('heap after 5 times 1,000 rows, against before (ratio)', spread([(await used()) / before]), HEAP_RATIO_MAX)
  const empty = await used()
  await step('#runlots', 'rows=10000')
  figure('heap a row of 3 bindings and 2 events (bytes)', spread([((await used()) - empty) / ROWS]), ROW_BYTES_MAX)
}

/** @param {number[]} values */
function spread(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (/** @type {number} */ part) => sorted[Math.round((sorted.length - 1) * part)]
  return { median: at(0.5), lower: at(0.25), upper: at(0.75) }
}

/**
 * @param {string} metric
 * @param {ReturnType<typeof spread>} spread
 * @param {number | null} budget at most this; the machine is shared, so the better quartile counts
 */
function figure(metric, { median, lower, upper }, budget) {
  const ok = budget === null || lower <= budget
  fellShort ||= !ok
  const rounded = (/** @type {number} */ value) => Number(value.toPrecision(4))
  console.log(JSON.stringify({
    bench: 'page', metric, value: rounded(median), quartiles: [rounded(lower), rounded(upper)],
    budget: budget === null ? null : rounded(budget), ok,
  }))
}
