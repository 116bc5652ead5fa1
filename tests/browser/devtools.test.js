/**
 * Devtools on the demo, as a person uses them. The page's policy holds in all of it: no inline style or script, Trusted
 * Types; a violation fails the test that met it.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'
import { fileURLToPath } from 'node:url'

import { clean } from './axe.js'
import { addOne, at, shown, startHeavy } from './demo.js'
import { BY_ADDRESS, KEY, button, openByKey, panel, row, tab } from './devtools.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

after(closeBrowser)

test('not a byte of them is loaded before somebody asks, and a key opens and closes them', withWorld(async ({ open, context }) => {
  const asked = /** @type {string[]} */ ([])
  context.on('request', (request) => void asked.push(new URL(request.url()).pathname))
  const page = await open()
  await shown(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  assert.deepEqual(asked.filter((path) => path.includes('devtools')), [])
  const reset = at(page, '#counter').getByRole('button', { name: 'Reset' })
  await reset.focus()
  const place = await reset.boundingBox()
  await openByKey(page)
  await panel(page).getByRole('searchbox', { name: 'Search the state' }).waitFor()
  assert.deepEqual(asked.filter((path) => path.includes('devtools')), ['/windlass/devtools.js'])
  assert.equal(await page.evaluate(() => document.activeElement?.localName), 'windlass-devtools')
  assert.deepEqual(await reset.boundingBox(), place, 'nothing of the page moves')
  await page.keyboard.press(KEY)
  await panel(page).waitFor({ state: 'detached' })
  assert.equal(await reset.evaluate((element) => element === document.activeElement), true, 'the focus is where it was')
  await addOne(page)
  await expectText(page, '#count', '2')
}))

test('opened by the address they see the first frame, and an action from its start to its outcome', withWorld(async ({ open, reload }) => {
  const page = await open(BY_ADDRESS)
  await shown(page)
  assert.equal(await page.evaluate(() => document.activeElement?.localName), 'body', 'nobody loses the focus')
  await tab(page, 'Timeline')
  await row(page, /connected.*new/).waitFor()
  await row(page, /snapshot n 1/).waitFor()
  await addOne(page)
  const action = row(page, /add.*applied/, '.action')
  await action.filter({ hasText: /\d ms/ }).waitFor()
  await action.click()
  const details = panel(page).locator('.details')
  for (const state of ['queued', 'sent', 'applied']) await details.getByText(state, { exact: true }).first().waitFor()
  await details.getByText('payload 1').waitFor()
  await row(page, 'counter.count = 1', '.delta').waitFor()
  await startHeavy(page, { seconds: 1 })
  await row(page, /heavy.*done/, '.job').waitFor()
  await row(page, /notify.*Heavy task done/, '.event').waitFor()
  await reload(page)
  // A document of ten thousand rows is not kept for a reload, so the server sends it again.
  await row(page, /connected.*snapshot/).waitFor()
}))

test('the timeline is filtered by kind and text, paused and cleared', withWorld(async ({ open }) => {
  const page = await open(BY_ADDRESS)
  await shown(page)
  await tab(page, 'Timeline')
  await addOne(page)
  await row(page, /add.*applied/).waitFor()
  for (const kind of ['Deltas', 'Connection', 'Events', 'Jobs']) await button(page, kind).click()
  await row(page, 'snapshot').waitFor({ state: 'detached' })
  await panel(page).getByRole('searchbox', { name: 'Filter' }).fill('nothing of the kind')
  await row(page, 'add').waitFor({ state: 'detached' })
  await panel(page).getByRole('searchbox', { name: 'Filter' }).fill('ADD')
  await row(page, 'add').waitFor()
  await button(page, 'Pause').click()
  await addOne(page)
  await panel(page).getByText(/paused, [1-9]\d* more/).waitFor()
  assert.equal(await panel(page).locator('.row.action').count(), 1)
  await button(page, 'Go on').click()
  await panel(page).locator('.row.action').nth(1).waitFor()
  await button(page, 'Clear').click()
  await row(page, 'add').waitFor({ state: 'detached' })
}))

test('the state is searched, opened by keys, copied, and lit up where a delta has touched it', withWorld(async ({ open, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const page = await open(BY_ADDRESS)
  await shown(page)
  const search = panel(page).getByRole('searchbox', { name: 'Search the state' })
  await search.fill('count')
  const count = row(page, /^count0$/, '.found')
  await count.waitFor()
  // The light is gone after a second, however slow the one who looks: what shone is written down in the page.
  const shone = await panel(page).evaluateHandle(({ shadowRoot }) => {
    const texts = /** @type {(string | null)[]} */ ([])
    const look = () => texts.push(...[...(shadowRoot?.querySelectorAll('.body:not([hidden]) .row.found.lit') ?? [])].map(({ textContent }) => textContent))
    if (shadowRoot) new MutationObserver(look).observe(shadowRoot, { subtree: true, childList: true, attributes: true, characterData: true })
    return texts
  })
  await addOne(page)
  await page.waitForFunction((texts) => texts.includes('count1'), shone)
  await count.page().waitForFunction(() => !document.querySelector('windlass-devtools')?.shadowRoot?.querySelector('.lit'))
  await search.fill('')
  const tree = panel(page).getByRole('tree')
  await tree.focus()
  for (const key of ['Home', 'ArrowDown', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key)
  await panel(page).locator('.footer').getByText('counter.count').waitFor()
  // What the button says of it goes by itself.
  const said = await button(page, 'Copy path').evaluateHandle((button) => {
    const texts = /** @type {(string | null)[]} */ ([])
    new MutationObserver(() => texts.push(button.textContent)).observe(button, { subtree: true, childList: true, characterData: true })
    return texts
  })
  await button(page, 'Copy path').click()
  await page.waitForFunction((texts) => texts.includes('Copied'), said)
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'counter.count')
  await button(page, 'Copy value').click()
  await page.waitForFunction(async () => (await navigator.clipboard.readText()) === '1')
}))

test('ten thousand rows are a few dozen nodes', withWorld(async ({ open }) => {
  const page = await open(BY_ADDRESS)
  await shown(page)
  await row(page, /^table/).dblclick()
  await row(page, /^rows/).dblclick()
  await row(page, /^0\{/).click()
  const rows = panel(page).locator('[role=treeitem]')
  assert.ok((await rows.count()) < 60, `${await rows.count()} rows are made`)
  assert.equal(await row(page, /^0\{/).getAttribute('aria-setsize'), '10000')
  const tree = panel(page).getByRole('tree')
  await tree.focus()
  await page.keyboard.press('End')
  await page.keyboard.press('PageUp')
  await row(page, /^9999\{/).waitFor()
  assert.ok((await rows.count()) < 60, `${await rows.count()} rows are made`)
  await panel(page).getByRole('searchbox', { name: 'Search the state' }).fill('"price"')
  await panel(page).getByText('0 matches').waitFor()
  await panel(page).getByRole('searchbox', { name: 'Search the state' }).fill('price')
  await panel(page).getByText('more than 1000 matches').waitFor()
  assert.ok((await rows.count()) < 60, `${await rows.count()} rows are made`)
}))

test('keys that are pressed in them are not heard by the page, and they stay where they were put', withWorld(async ({ open, reload }) => {
  const page = await open(BY_ADDRESS)
  await shown(page)
  await page.evaluate(() => {
    Object.assign(window, { heard: 0 })
    addEventListener('keydown', () => /** @type {any} */ (window).heard++)
  })
  const search = panel(page).getByRole('searchbox', { name: 'Search the state' })
  await search.fill('x')
  await search.press('Escape')
  assert.equal(await search.inputValue(), '')
  await search.press('Escape')
  assert.deepEqual([await page.evaluate(() => /** @type {any} */ (window).heard), await panel(page).count()], [0, 1])
  const grip = panel(page).getByRole('separator')
  const before = Number(await grip.getAttribute('aria-valuenow'))
  await grip.press('ArrowUp')
  assert.equal(Number(await grip.getAttribute('aria-valuenow')), before + 20)
  await button(page, 'Move the devtools to the right').click()
  await panel(page).getByRole('tab', { name: 'State' }).press('ArrowRight')
  await reload(page)
  await button(page, 'Move the devtools to the bottom').click()
  assert.equal(Number(await grip.getAttribute('aria-valuenow')), before + 20)
  assert.equal(await panel(page).getByRole('tab', { name: 'Timeline' }).getAttribute('aria-selected'), 'true')
}))

test('axe finds nothing in them, and they fit at the bottom and at the right', withWorld(async ({ open }) => {
  // A page of its own devtools' file, and with fewer rows than the demo's ten thousand, which take axe minutes.
  const page = await open('/console/?windlass=devtools')
  await page.getByRole('button', { name: 'Start 60 jobs' }).click()
  await expectText(page, '#running', '4')
  await row(page, /^\$jobs/).dblclick()
  for (const name of /** @type {const} */ (['State', 'Timeline', 'Network', 'Recording'])) {
    await tab(page, name)
    if (name === 'Timeline') {
      await panel(page).getByRole('searchbox', { name: 'Filter' }).fill('applied')
      await row(page, /applied/, '.action').click()
    }
    await clean(page)
    for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
      await page.emulateMedia({ colorScheme })
      await page.screenshot({ path: picture(`devtools-${name}-${colorScheme}`) })
    }
  }
  await button(page, 'Move the devtools to the right').click()
  await tab(page, 'Timeline')
  await clean(page)
  await page.screenshot({ path: picture('devtools-right') })
  const wider = await panel(page).evaluate(({ shadowRoot }) =>
    [...(shadowRoot?.querySelectorAll('header, .toolbar, .footer, .split') ?? [])].filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth + 1).map(({ className }) => className))
  assert.deepEqual(wider, [])
}))

/** @param {string} name */
function picture(name) {
  return fileURLToPath(new URL(`./out/${name}.png`, import.meta.url))
}
