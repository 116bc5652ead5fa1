/**
 * The demo's ten thousand rows.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { at, button, shown } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('in ten thousand rows a cell, a row and the order change, and only that travels', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  const before = await rows(page)
  assert.equal(before.length, 10_000)
  const [first, second, third, fourth, fifth] = before

  await button(page, 'table', 'Change a cell').click()
  await changed(page, /^3\d bytes {2}\[\["table","rows",0,"price",[\d.]+\]\]$/)
  const [cheap, dear] = [first, (await rows(page))[0]]
  assert.equal((dear.price - cheap.price).toFixed(2), '0.05')

  await at(page, '#table [role=row]').nth(1).getByRole('button', { name: 'Add one' }).click()
  await changed(page, `${27 + String(first.qty + 1).length} bytes  [["table","rows",0,"qty",${first.qty + 1}]]`)
  await button(page, 'table', 'Change 100').click()
  await changed(page, /^3,\d{3} bytes {2}\[\["table","rows",0,"qty",/)
  const hundred = (await rows(page)).filter(({ id, qty }) => qty !== before[id - 1].qty)
  assert.equal(hundred.length, 100)

  // The nodes of the rows are kept: this one is followed through all that comes.
  await at(page, '#table [role=row]').nth(5).evaluate((row) => row.setAttribute('data-followed', ''))
  const followed = () => at(page, '#table [data-followed] [role=cell]').first().innerText()

  await button(page, 'table', 'Insert top').click()
  await expectText(page, '#rows', '10,001')
  await changed(page, /^1\d\d bytes {2}\[\[1,"table","rows",0,/)
  await button(page, 'table', 'Insert middle').click()
  await expectText(page, '#rows', '10,002')
  await button(page, 'table', 'Remove first').click()
  await expectText(page, '#rows', '10,001')
  await changed(page, '24 bytes  [[2,"table","rows",0,1]]')
  await at(page, '#table [role=row]').nth(1).getByRole('button', { name: 'Remove' }).click()
  await expectText(page, '#rows', '10,000')
  assert.deepEqual(ids(await rows(page)).slice(0, 4), ids([second, third, fourth, fifth]))

  await button(page, 'table', 'Last to top').click()
  await changed(page, '27 bytes  [[3,"table","rows",9999,0]]')
  assert.deepEqual(ids(await rows(page)).slice(0, 4), ids([before[9_999], second, third, fourth]))
  await button(page, 'table', 'Swap 2 and 5').click()
  await expectText(page, '#table [role=row]:nth-of-type(3) [role=cell]', String(fifth.id))
  assert.deepEqual(ids(await rows(page)).slice(0, 5), ids([before[9_999], fifth, third, fourth, second]))

  const unsorted = ids(await rows(page))
  await button(page, 'table', 'Reverse').click()
  await expectText(page, '#table [role=row]:last-of-type [role=cell]', String(before[9_999].id))
  assert.deepEqual(ids(await rows(page)), unsorted.toReversed())

  await button(page, 'table', 'Price').click()
  await at(page, '#table [aria-sort=ascending]').getByText('Price').waitFor()
  await ordered(page, (a, b) => a.price - b.price)
  await button(page, 'table', 'Price').click()
  await at(page, '#table [aria-sort=descending]').getByText('Price').waitFor()
  await ordered(page, (a, b) => b.price - a.price)
  await button(page, 'table', 'No').click()
  await at(page, '#table [aria-sort=ascending]').getByText('No').waitFor()
  await ordered(page, (a, b) => a.id - b.id)

  assert.equal(await followed(), String(fifth.id))
}))

/**
 * The rows as the page shows them.
 * @param {Page} page
 * @returns {Promise<{ id: number, qty: number, price: number }[]>}
 */
async function rows(page) {
  return at(page, '#table .line:not(.head)').evaluateAll((rows) =>
    rows.map((row) => {
      const [id, , qty, price] = [...row.children].map((cell) => Number(cell.textContent))
      return { id, qty, price }
    }),
  )
}

/** @param {{ id: number }[]} rows */
function ids(rows) {
  return rows.map(({ id }) => id)
}

/**
 * What the card says of the last change.
 * @param {Page} page
 * @param {string | RegExp} wire
 */
async function changed(page, wire) {
  await expectText(page, '#table .wire', wire)
}

/**
 * @param {Page} page
 * @param {(a: { id: number, price: number }, b: { id: number, price: number }) => number} compare
 */
async function ordered(page, compare) {
  const shown = await rows(page)
  assert.equal(shown.length, 10_000)
  assert.ok(shown.every((row, at) => at === 0 || compare(shown[at - 1], row) <= 0))
}
