/**
 * TodoMVC: each rule of its specification, and how it feels when the server is far away.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('TodoMVC: with no todos there is an empty field with the focus, and nothing else', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await page.locator('.new-todo').waitFor()
  await page.waitForFunction(() => document.activeElement?.className === 'new-todo')
  for (const selector of ['.main', '.footer', '.todo-list li']) assert.equal(await page.locator(selector).count(), 0, selector)
}))

test('TodoMVC: Enter appends what was typed, trimmed, and empties the field; blanks are nothing', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await add(page, '  buy rope  ', 'mend the winch', '   ')
  assert.equal(await page.locator('.new-todo').inputValue(), '')
  await titles(page, 'buy rope', 'mend the winch')
  assert.equal(await page.evaluate(() => document.activeElement?.className), 'new-todo')
}))

test('TodoMVC: the counter is emphasised and knows one from many', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await add(page, 'a')
  await expectText(page, '.todo-count', '1 item left')
  await add(page, 'b')
  await expectText(page, '.todo-count', '2 items left')
  await expectText(page, '.todo-count strong', '2')
  await page.locator('.toggle').nth(0).check()
  await page.locator('.toggle').nth(1).check()
  await expectText(page, '.todo-count', '0 items left')
}))

test('TodoMVC: a tick completes a todo, all are completed at once, and what is completed can be cleared', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'b', 'c')
  const clear = page.locator('.clear-completed')
  await clear.waitFor({ state: 'hidden' })
  await page.locator('.toggle').nth(1).check()
  await classes(page, '', 'completed', '')
  await clear.waitFor()
  assert.equal(await clear.textContent(), 'Clear completed')
  await page.locator('.toggle').nth(1).uncheck()
  await classes(page, '', '', '')
  await page.locator('.toggle-all').check()
  await classes(page, 'completed', 'completed', 'completed')
  await page.locator('.toggle').nth(0).uncheck()
  await page.locator('.toggle-all:not(:checked)').waitFor()
  await page.locator('.toggle').nth(0).check()
  await page.locator('.toggle-all:checked').waitFor()
  await page.locator('.toggle-all').uncheck()
  await classes(page, '', '', '')
  await page.locator('.toggle').nth(2).check()
  await clear.click()
  await titles(page, 'a', 'b')
  await clear.waitFor({ state: 'hidden' })
  await page.locator('.toggle-all').check()
  await clear.click()
  await page.locator('.main').waitFor({ state: 'detached' })
  await add(page, 'd')
  await titles(page, 'd')
  assert.equal(await page.locator('.toggle-all').isChecked(), false)
}))

test('TodoMVC: the button that deletes shows when the pointer is over its todo', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'b')
  const opacity = () => page.locator('.destroy').first().evaluate((button) => getComputedStyle(button).opacity)
  await page.locator('h1').hover()
  assert.equal(await opacity(), '0')
  await page.locator('.todo-list li').first().hover()
  assert.equal(await opacity(), '1')
  await page.locator('.destroy').first().click()
  await titles(page, 'b')
}))

test('TodoMVC: a double click edits; Enter and blur save, trimmed; Escape does not; an emptied title deletes', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'b', 'c')
  const edit = page.locator('.edit')

  await editing(page, 1)
  assert.equal(await edit.inputValue(), 'b')
  assert.equal(await page.evaluate(() => document.activeElement?.className), 'edit', 'it has the focus')
  assert.equal(await page.locator('li.editing .view').isVisible(), false, 'the other controls are hidden')
  await edit.fill('  B  ')
  await edit.press('Enter')
  await edit.waitFor({ state: 'detached' })
  await page.locator('.editing').waitFor({ state: 'detached' })
  await titles(page, 'a', 'B', 'c')

  await editing(page, 0)
  await edit.fill('A')
  await page.locator('h1').click()
  await titles(page, 'A', 'B', 'c')

  await editing(page, 2)
  await edit.fill('not this')
  await edit.press('Escape')
  await edit.waitFor({ state: 'detached' })
  await titles(page, 'A', 'B', 'c')

  await editing(page, 1)
  await edit.fill('   ')
  await edit.press('Enter')
  await titles(page, 'A', 'c')
  await editing(page, 0)
  await edit.fill('')
  await page.locator('h1').click()
  await titles(page, 'c')
}))

test('TodoMVC: the address filters, its link is selected, back and reload keep it, and what is ticked leaves', withWorld(async ({ open, reload }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'b', 'c')
  const selected = () => page.locator('.filters .selected').allTextContents()
  assert.deepEqual(await selected(), ['All'])
  await page.locator('.toggle').nth(1).check()
  await page.getByRole('link', { name: 'Active' }).click()
  await titles(page, 'a', 'c')
  assert.deepEqual(await selected(), ['Active'])
  assert.match(await page.evaluate(() => location.href), /#\/active$/)
  await page.locator('.toggle:visible').nth(0).check()
  await titles(page, 'c')
  await page.getByRole('link', { name: 'Completed' }).click()
  await titles(page, 'a', 'b')
  await page.goBack()
  await titles(page, 'c')
  await reload(page)
  await titles(page, 'c')
  assert.deepEqual(await selected(), ['Active'])
  await page.getByRole('link', { name: 'All' }).click()
  await titles(page, 'a', 'b', 'c')
}))

test('TodoMVC: a reload keeps the list, another tab shows it, and editing is kept by neither', withWorld(async ({ open, reload }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'b')
  await page.locator('.toggle').nth(0).check()
  await editing(page, 1)
  const other = await open('/todomvc/')
  await titles(other, 'a', 'b')
  await reload(page)
  await titles(page, 'a', 'b')
  await classes(page, 'completed', '')
  await classes(other, 'completed', '')
  assert.equal(await page.locator('.edit').count(), 0)
  await add(other, 'c')
  await titles(page, 'a', 'b', 'c')
}))

test('TodoMVC: eighty milliseconds away nothing that is typed is lost, doubled or overwritten', withWorld(async ({ open, proxy }) => {
  const page = await open('/todomvc/')
  proxy.delay(80)
  // Typed on at once: the field is empty before the server has heard of the first.
  const words = ['haul', 'heave', 'hold', 'furl', 'reef']
  for (const word of words) {
    await page.locator('.new-todo').pressSequentially(word)
    await page.keyboard.press('Enter')
    assert.equal(await page.locator('.new-todo').inputValue(), '')
  }
  await page.locator('.new-todo').pressSequentially('half a wo')
  await titles(page, ...words)
  assert.equal(await page.locator('.new-todo').inputValue(), 'half a wo', 'what is being typed stays')

  // Each of these is looked at in the same task, long before an answer can be there.
  const seen = await page.evaluate(() => {
    const all = (/** @type {string} */ selector) => /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll(selector)])
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    return (async () => {
      const [toggle] = all('.toggle')
      const seen = []
      for (let n = 0; n < 3; n++) {
        toggle.click()
        await frame()
        seen.push([toggle.checked, all('.todo-list li')[0].className])
      }
      return seen
    })()
  })
  assert.deepEqual(seen, [[true, 'completed'], [false, ''], [true, 'completed']])
  const watched = await watchTitles(page)
  await editing(page, 1)
  await page.locator('.edit').fill('heave ho')
  await page.keyboard.press('Enter')
  await titles(page, 'haul', 'heave ho', 'hold', 'furl', 'reef')
  await editing(page, 2)
  await page.locator('.edit').pressSequentially(' on')
  await page.keyboard.press('Enter')
  await titles(page, 'haul', 'heave ho', 'hold on', 'furl', 'reef')
  // A tab of its own is far away as well, and shows when the server has all of it.
  const other = await open('/todomvc/')
  await titles(other, 'haul', 'heave ho', 'hold on', 'furl', 'reef')
  await classes(other, 'completed', '', '', '', '')
  assert.deepEqual(await watched(), ['heave', 'heave ho'], 'the old title does not come back')
}))

test('TodoMVC: without a network all of it goes on, and arrives when there is one', withWorld(async ({ open, proxy }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'b')
  await titles(page, 'a', 'b')
  proxy.refuse()
  await page.locator('.toggle').nth(0).check()
  await classes(page, 'completed', '')
  await editing(page, 1)
  await page.locator('.edit').fill('B')
  await page.keyboard.press('Enter')
  await titles(page, 'a', 'B')
  await add(page, 'c')
  proxy.resume()
  await titles(page, 'a', 'B', 'c')
  await classes(page, 'completed', '', '')
}))

test('TodoMVC: it is used with the keyboard alone, and looks right', withWorld(async ({ open }) => {
  const page = await open('/todomvc/')
  await add(page, 'a', 'a todo with a title that is far too long for one line of a telephone, and goes on')
  await titles(page, 'a', /^a todo/)
  await page.locator('.toggle').nth(0).focus()
  await page.keyboard.press('Space')
  await classes(page, 'completed', '')
  await page.keyboard.press('Enter')
  await page.locator('.edit').waitFor()
  await page.keyboard.type('!')
  await page.keyboard.press('Enter')
  await titles(page, 'a!', /^a todo/)
  assert.equal(await page.evaluate(() => document.activeElement?.className), 'toggle', 'the focus is where it was')
  await screenshots(page, 'todomvc')
  await page.locator('.toggle').nth(0).focus()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await titles(page, /^a todo/)
}))

/**
 * @param {Page} page
 * @param {...string} titles
 */
async function add(page, ...titles) {
  for (const title of titles) {
    await page.locator('.new-todo').fill(title)
    await page.locator('.new-todo').press('Enter')
  }
}

/**
 * Waits until these and no others are seen.
 * @param {Page} page
 * @param {...(string | RegExp)} expected
 */
async function titles(page, ...expected) {
  const wanted = expected.map((title) => (typeof title === 'string' ? `^${title}$` : title.source))
  try {
    await page.waitForFunction((wanted) => {
      const labels = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('.todo-list label')])
      const seen = labels.filter((label) => label.checkVisibility()).map((label) => label.textContent ?? '')
      return seen.length === wanted.length && wanted.every((title, at) => new RegExp(title).test(seen[at]))
    }, wanted)
  } catch (error) {
    throw new Error(`the titles are ${await page.locator('.todo-list label').allTextContents()}`, { cause: error })
  }
}

/**
 * @param {Page} page
 * @param {...string} expected
 */
async function classes(page, ...expected) {
  await page.waitForFunction(
    (expected) => [...document.querySelectorAll('.todo-list li')].map((item) => item.className).join() === expected,
    expected.join(),
  )
}

/**
 * @param {Page} page
 * @param {number} at
 */
async function editing(page, at) {
  await page.locator('.todo-list label:visible').nth(at).dblclick()
  await page.locator('.edit').waitFor()
}

/**
 * The texts that the second label shows from now on, each once in a row.
 * @param {Page} page
 */
async function watchTitles(page) {
  await page.evaluate(() => {
    const label = document.querySelectorAll('.todo-list label')[1]
    const seen = [label.textContent]
    Object.assign(window, { seen })
    new MutationObserver(() => {
      if (label.textContent !== seen.at(-1)) seen.push(label.textContent)
    }).observe(label, { subtree: true, childList: true, characterData: true })
  })
  return () => page.evaluate(() => /** @type {any} */ (window).seen)
}
