/**
 * The demo's heavy task: its start, its progress, each of its ends, its result.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { addOne, at, job, notified, shown, startHeavy, toast } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('a heavy task says that it started, how it is getting on, how it ended, and what came of it', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  const [texts, watched] = [await notified(page), await watchJob(page)]
  await startHeavy(page, { seconds: 4 })
  await told(page, /Heavy task done: \d+ primes/)
  await expectText(page, '#outcome', /^done\s+\d+ primes below \d+$/)
  await job(page).getByText('done').waitFor()

  const { statuses, values } = await watched()
  assert.deepEqual(statuses.filter((status) => status !== 'queued'), ['running', 'done'])
  assert.ok(values.length >= 10, `the bar moved: ${values}`)
  assert.deepEqual(values, values.toSorted((a, b) => a - b), 'and forwards only')
  assert.equal(values.at(-1), 1)

  const number = async (/** @type {string} */ id) => Number((await at(page, id).textContent())?.replaceAll(',', ''))
  const [primes, below, largest] = [await number('#primes'), await number('#below'), await number('#largest')]
  assert.equal(largest, primesDown(below).next().value, 'the largest prime below what was counted')
  // Chebyshev's and Rosser's bounds, narrow enough to see that it was counted and not made up.
  const estimate = below / Math.log(below)
  assert.ok(primes > estimate && primes < estimate * 1.12, `${primes} primes below ${below}`)

  const said = await texts()
  assert.equal(said[0], 'Heavy task started')
  assert.match(said.at(-1) ?? '', /^Heavy task done/)
  const ticks = said.slice(1, -1).map((text) => Number(/^Still running, (\d) s$/.exec(text)?.[1]))
  assert.deepEqual(ticks, [...new Set(ticks)].sort(), 'each second is told once')
  assert.ok(ticks.length >= 2 && ticks.every((tick) => tick >= 1 && tick <= 4), `${ticks}`)
}))

for (const [how, order, text] of /** @type {const} */ ([
  ['fails', { fail: true }, 'the rope parted half-way'],
  ['panics', { panic: true }, 'the pawl jumped out of its notch'],
])) {
  test(`a heavy task that ${how} says so, and the session goes on`, withWorld(async ({ open }) => {
    const page = await open()
    await shown(page)
    await startHeavy(page, order)
    await told(page, `Heavy task failed: ${text}`)
    await expectText(page, '#outcome', new RegExp(`^failed\\s+${text}$`))
    await job(page).getByText('failed').waitFor()
    assert.equal(await at(page, '#result dl').isVisible(), false, 'there is no result')
    await addOne(page)
    await expectText(page, '#count', '1')
    // The same session can do it again, and better.
    await startHeavy(page)
    await expectText(page, '#outcome', /^done/)
  }))
}

test('a heavy task keeps nobody waiting, and ends when it is cancelled', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await startHeavy(page, { seconds: 60 })
  await job(page).getByText('running').waitFor()
  await told(page, /Still running, \d+ s/)
  // The page is free meanwhile.
  await addOne(page)
  await expectText(page, '#count', '1')
  await at(page, '#progress').getByRole('button', { name: 'Cancel' }).click()
  await expectText(page, '#outcome', /^cancelled/)
  await told(page, 'Heavy task cancelled')
  assert.equal(await at(page, '#progress').getByRole('button', { name: 'Cancel' }).count(), 0)
}))

test('an order that the server refuses is told to the person', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  // Past the browser's own check, as any script could.
  await at(page, '#start form').evaluate((form) => void (/** @type {HTMLFormElement} */ (form).noValidate = true))
  await startHeavy(page, { seconds: 61 })
  await toast(page, 'a task takes 1 to 60 seconds').waitFor()
  assert.equal(await at(page, '#progress li').count(), 0, 'nothing was started')
}))

/**
 * What the line of the first heavy task shows from now on: its words for how it is, and where its bar stands.
 * @param {Page} page
 * @returns {Promise<() => Promise<{ statuses: string[], values: number[] }>>}
 */
async function watchJob(page) {
  await page.evaluate(() => {
    const list = /** @type {Element} */ (document.querySelector('#progress .jobs'))
    const job = { statuses: /** @type {string[]} */ ([]), values: /** @type {number[]} */ ([]) }
    Object.assign(window, { job })
    new MutationObserver(() => {
      const [status, value] = [list.querySelector('b')?.textContent, list.querySelector('progress')?.getAttribute('value')]
      if (status && job.statuses.at(-1) !== status) job.statuses.push(status)
      if (value && job.values.at(-1) !== Number(value)) job.values.push(Number(value))
    }).observe(list, { subtree: true, childList: true, characterData: true, attributeFilter: ['value'] })
  })
  return () => page.evaluate(() => /** @type {any} */ (window).job)
}

/**
 * The primes below a number, from the largest down.
 * @param {number} below
 */
function* primesDown(below) {
  for (let n = below - 1; n > 1; n--) {
    let divisor = 2
    while (divisor * divisor <= n && n % divisor !== 0) divisor++
    if (divisor * divisor > n) yield n
  }
}
