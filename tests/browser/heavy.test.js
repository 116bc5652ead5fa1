/**
 * The demo's heavy task: its start, its progress, each of its ends, its result.
 * @module
 */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import { addOne, at, job, notified, shown, startHeavy, toast } from './demo.js'
import { closeBrowser, expectText, withWorld } from './harness.js'

after(closeBrowser)

test('a heavy task says that it started, how it is getting on, how it ended, and what came of it', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  const texts = await notified(page)
  await startHeavy(page, { seconds: 3 })
  await toast(page, 'Heavy task started').waitFor()
  await job(page).getByText('running').waitFor()
  // The bar moves: two values, both inside.
  const fraction = () => job(page).locator('progress').evaluate((bar) => /** @type {HTMLProgressElement} */ (bar).value)
  await page.waitForFunction(() => Number(document.querySelector('#progress progress')?.getAttribute('value')) > 0.1)
  const early = await fraction()
  await toast(page, /Still running, \d s/).waitFor()
  await page.waitForFunction((early) => Number(document.querySelector('#progress progress')?.getAttribute('value')) > early, early)
  // The page stays free meanwhile.
  await addOne(page)
  await expectText(page, '#count', '1')
  await toast(page, /Heavy task done: \d+ primes/).waitFor()
  await expectText(page, '#outcome', /^done\s+\d+ primes below \d+$/)
  await job(page).getByText('done').waitFor()

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
  assert.ok(ticks.length >= 2 && ticks.every((tick) => tick >= 1 && tick <= 3), `${ticks}`)
}))

for (const [how, order, text] of /** @type {const} */ ([
  ['fails', { fail: true }, 'the rope parted half-way'],
  ['panics', { panic: true }, 'the pawl jumped out of its notch'],
])) {
  test(`a heavy task that ${how} says so, and the session goes on`, withWorld(async ({ open }) => {
    const page = await open()
    await shown(page)
    await startHeavy(page, order)
    await toast(page, `Heavy task failed: ${text}`).waitFor()
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

test('a heavy task ends when it is cancelled', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await startHeavy(page, { seconds: 60 })
  await job(page).getByText('running').waitFor()
  await at(page, '#progress').getByRole('button', { name: 'Cancel' }).click()
  await expectText(page, '#outcome', /^cancelled/)
  await toast(page, 'Heavy task cancelled').waitFor()
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
