/**
 * Pages that sleep while others work, and what a server may not make a page do.
 * @module
 */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'

import { addOne, isMarked, mark, shown } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

/** @param {number} pid of a process: `T` when it is stopped */
const stateOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2]

/**
 * The process that runs a page: of the browser's the one that works while the page does.
 * @param {Page} page
 */
async function rendererOf(page) {
  const devtools = await page.context().browser()?.newBrowserCDPSession()
  assert(devtools)
  const { processInfo } = await devtools.send('SystemInfo.getProcessInfo')
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
  /** @param {number} pid ticks that it has run */
  const ran = (pid) => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[13])
  const before = new Map(renderers.map((pid) => [pid, ran(pid)]))
  await page.evaluate(() => {
    for (const end = performance.now() + 500; performance.now() < end;);
  })
  const worked = renderers.map((pid) => ({ pid, ticks: ran(pid) - (before.get(pid) ?? 0) }))
  return worked.reduce((most, next) => (next.ticks > most.ticks ? next : most)).pid
}

// RESUME, CONVERGE
test('a page whose process sleeps while its state changed wakes up equal, without a reload', withWorld(async ({ open, proxy }) => {
  const page = await open('/todomvc/')
  await page.locator('.new-todo').fill('haul')
  await page.locator('.new-todo').press('Enter')
  await expectText(page, '.todo-count', '1 item left')
  await mark(page)
  // Another tab of the browser looks at the same list.
  const other = await open('/todomvc/')
  await expectText(other, '.todo-count', '1 item left')
  const renderer = await rendererOf(page)
  for (const cut of [false, true]) {
    process.kill(renderer, 'SIGSTOP')
    while (stateOf(renderer) !== 'T') await turn()
    try {
      for (let n = 0; n < 10; n++) {
        await other.locator('.new-todo').fill(`while it sleeps ${n} ${cut}`)
        await other.locator('.new-todo').press('Enter')
      }
      await expectText(other, '.todo-count', cut ? '21 items left' : '11 items left')
      // A network that has gone meanwhile, as that of a laptop does.
      if (cut) proxy.cut()
    } finally {
      process.kill(renderer, 'SIGCONT')
    }
    await expectText(page, '.todo-count', cut ? '21 items left' : '11 items left')
  }
  const texts = () => [...document.querySelectorAll('.todo-list label')].map((label) => label.textContent)
  await expectText(other, '.todo-count', '21 items left')
  assert.deepEqual(await page.evaluate(texts), await other.evaluate(texts))
  await page.locator('.new-todo').fill('awake')
  await page.locator('.new-todo').press('Enter')
  await expectText(other, '.todo-count', '22 items left')
  assert.ok(await isMarked(page), 'it is still the same page')
}))

// A server that was talked into an address: the page leads nobody there.
test('addresses that a server may not send are not followed', withWorld(async ({ context, proxy }) => {
  const page = await context.newPage()
  const strange = ['javascript:document.title="run"', 'data:text/html,x', '//elsewhere.example/', 'blob:null/1', 'file:///etc/passwd']
  let sent = false
  await page.routeWebSocket(/.*/, (socket) => {
    const server = socket.connectToServer()
    server.onMessage((message) => {
      const frame = JSON.parse(String(message))
      if (!sent && frame[0] === 'd') {
        sent = true
        const events = strange.flatMap((url) => ['navigate', 'download'].map((kind) => [kind, { url }]))
        // Ids beyond those that come, so that each is new to the page.
        frame[4] = { ...frame[4], e: events.map(([kind, body], n) => [2 ** 50, n + 1, kind, body]) }
      }
      socket.send(JSON.stringify(frame))
    })
  })
  const refused = /** @type {string[]} */ ([])
  page.on('console', (message) => message.text().includes('refused_url') && refused.push(message.text()))
  const left = /** @type {string[]} */ ([])
  page.on('framenavigated', (frame) => left.push(frame.url()))
  page.on('download', (download) => left.push(download.url()))
  await page.goto(proxy.url)
  await shown(page)
  left.length = 0
  await addOne(page)
  await expectText(page, '#count', '1')
  assert.ok(sent)
  await addOne(page)
  await expectText(page, '#count', '2')
  assert.deepEqual(left, [])
  assert.equal(refused.length, 2 * strange.length, refused.join('\n'))
  assert.notEqual(await page.title(), 'run')
}))
