/**
 * What devtools do to a page: a worse network, and sessions that are saved and replayed.
 * @module
 */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after } from 'node:test'

import { addOne, at, isMarked, mark, shown, startHeavy, toast } from './demo.js'
import { BY_ADDRESS, button, openByKey, panel, row, tab } from './devtools.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

/**
 * What the page holds.
 * @param {Page} page
 */
function documentOf(page) {
  return page.evaluate(async () => {
    const client = '/windlass/windlass.js'
    return JSON.stringify((await import(client)).app.document)
  })
}

/**
 * What a person reads of the state: all cards without the lines that tell of the wire, and the first rows of the table.
 * @param {Page} page
 */
function textOf(page) {
  return page.evaluate(() => [...document.querySelectorAll('main [w-text]')].slice(0, 200).map(({ textContent }) => textContent))
}

test('a simulated cut is a lost connection, and the page comes back by a replay', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await mark(page)
  await openByKey(page)
  await tab(page, 'Network')
  await button(page, 'Cut the connection now').click()
  await expectText(page, '#connection', 'live')
  await tab(page, 'Timeline')
  await row(page, /closed 1006.*simulated.*lost/).waitFor()
  await row(page, /connected.*replay/).waitFor()
  await addOne(page)
  await expectText(page, '#count', '1')
  await tab(page, 'Network')
  await panel(page).getByRole('spinbutton', { name: 'Frames until the cut' }).fill('2')
  await button(page, 'Cut after').click()
  await addOne(page)
  await panel(page).getByText('Simulated cuts').waitFor()
  await page.waitForFunction(() => /cuts2/.test(document.querySelector('windlass-devtools')?.shadowRoot?.querySelector('dl')?.textContent ?? ''))
  await expectText(page, '#count', '2')
  await button(page, 'Go offline').click()
  await expectText(page, '#connection', 'waiting to reconnect')
  await addOne(page)
  await expectText(page, '#pending', '1')
  await panel(page).locator('header').getByText(/Simulated: offline/).waitFor()
  await button(page, 'Back online').click()
  await expectText(page, '#count', '3')
  assert.equal(await isMarked(page), true)
}))

test('a simulated delay is told while it lasts, and ends with the devtools', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await openByKey(page)
  await tab(page, 'Network')
  await panel(page).getByLabel('Each way').fill('60000')
  await panel(page).locator('header').getByText('Simulated: 60000 ms each way').waitFor()
  await addOne(page)
  await expectText(page, '#pending', '1')
  await button(page, 'Close the devtools').click()
  await expectText(page, '#count', '1')
  await expectText(page, '#pending', '0')
  await openByKey(page)
  assert.equal(await panel(page).locator('header').getByText('Simulated').isVisible(), false)
}))

test('a session that was saved is replayed offline: the same document, the same page', withWorld(async ({ open, proxy }) => {
  const page = await open(BY_ADDRESS)
  await shown(page)
  for (let count = 1; count <= 3; count++) {
    await addOne(page)
    await expectText(page, '#count', String(count))
  }
  await startHeavy(page, { seconds: 1 })
  await expectText(page, '#outcome', /^done/)
  const [document, text] = [await documentOf(page), await textOf(page)]
  await tab(page, 'Recording')
  const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Download').click()])
  assert.match(download.suggestedFilename(), /^windlass.*\.json$/)
  const file = await download.path()
  const kept = await page.evaluate(() => JSON.stringify({ ...sessionStorage }))
  const [token] = /[0-9a-f]{24}\.[0-9a-f]{32}/.exec(kept) ?? []
  assert.ok(token, 'the page has a token')
  assert.equal((await readFile(file, 'utf8')).includes(token), false, 'which is not in the file')

  const other = await open()
  await shown(other)
  await addOne(other)
  await expectText(other, '#count', '1')
  proxy.refuse()
  await expectText(other, '#connection', 'waiting to reconnect')
  await openWithoutServer(other)
  await panel(other).locator('input[type=file]').setInputFiles(file)
  await panel(other).locator('header').getByText('Replay: nothing is sent').waitFor()
  await expectText(other, '#count', '0')
  await button(other, 'One step forward').click()
  await expectText(other, '#count', '1')
  await button(other, 'One step back').click()
  await expectText(other, '#count', '0')
  await panel(other).getByLabel('Speed').selectOption('Infinity')
  await button(other, 'Play').click()
  await expectText(other, '#outcome', /^done/)
  await button(other, 'Play').waitFor()
  assert.deepEqual(await textOf(other), text)
  assert.equal(await documentOf(other), document)
  await at(other, '#counter').getByRole('button', { name: 'Reset' }).click()
  await toast(other, 'nothing is sent').waitFor()
  await panel(other).getByRole('slider', { name: 'Position' }).press('Home')
  await expectText(other, '#count', '0')
  await tab(other, 'Timeline')
  await panel(other).getByRole('searchbox', { name: 'Filter' }).fill('add')
  await row(other, /add.*applied/, '.action.later').click()
  await button(other, 'Show this moment').click()
  await row(other, /add.*applied/, '.action:not(.later)').waitFor()
  await tab(other, 'Recording')

  proxy.resume()
  await button(other, 'Leave the replay').click()
  await expectText(other, '#connection', 'live')
  await expectText(other, '#count', '1')
  await addOne(other)
  await expectText(other, '#count', '2')
}))

/**
 * Devtools on a page that has no server any more; their file comes from the disk.
 * @param {Page} page
 */
async function openWithoutServer(page) {
  const script = await readFile(new URL('../../web-client/dist/devtools.js', import.meta.url), 'utf8')
  await page.route('**/windlass/devtools.js', (route) => route.fulfill({ contentType: 'text/javascript', body: script }))
  await openByKey(page)
  await tab(page, 'Recording')
}

test('a file that is no recording is refused beside the button, and the page goes on', withWorld(async ({ open }) => {
  const page = await open(BY_ADDRESS)
  await shown(page)
  await tab(page, 'Recording')
  await panel(page).locator('input[type=file]').setInputFiles({ name: 'a.json', mimeType: 'application/json', buffer: Buffer.from('{"format":"har"}') })
  await panel(page).getByRole('alert').getByText('a.json: this is JSON, but no recording').waitFor()
  await addOne(page)
  await expectText(page, '#count', '1')
}))
