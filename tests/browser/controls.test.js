/**
 * Forms as people use them: every control, nothing that is typed disturbed, every way to send an action.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { caret, has, live, selection, state } from './controls.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('every control writes its field with the type that it has, and shows what another tab writes', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  const other = await open('/controls/')
  await live(page)
  await page.locator('#text').fill('hemp')
  await has(other, 'text', 'hemp')
  await page.locator('#area').fill('one\ntwo')
  await has(other, 'area', 'one\ntwo')
  await page.locator('#number').fill('7.5')
  await has(other, 'number', 7.5)
  await page.locator('#number').fill('')
  await has(other, 'number', null)
  await page.locator('#range').fill('60')
  await has(other, 'range', 60)
  await page.locator('#day').fill('2027-02-03')
  await has(other, 'day', '2027-02-03')
  await page.locator('#time').fill('12:45')
  await has(other, 'time', '12:45')
  await page.locator('#tint').fill('#112233')
  await has(other, 'tint', '#112233')
  await page.locator('#colour').selectOption('black')
  await has(other, 'colour', 'black')
  await page.locator('#tags').selectOption(['long', 'old'])
  await has(other, 'tags', ['long', 'old'])
  await page.locator('input[name=size][value=l]').check()
  await has(other, 'size', 'l')
  await page.locator('input[value=oil]').check()
  await has(other, 'extras', ['tar', 'oil'])
  await page.locator('#on').check()
  await has(other, 'on', true)

  const shown = await other.evaluate(() => {
    const value = (/** @type {string} */ selector) => /** @type {HTMLInputElement} */ (document.querySelector(selector)).value
    const checked = [...document.querySelectorAll('.grid input:checked')].map((input) => input.getAttribute('value') ?? input.id)
    const tags = [.../** @type {HTMLSelectElement} */ (document.querySelector('#tags')).selectedOptions].map(({ value }) => value)
    return [...['#text', '#area', '#number', '#range', '#day', '#time', '#tint', '#colour'].map(value), tags, checked]
  })
  assert.deepEqual(shown, ['hemp', 'one\ntwo', '', '60', '2027-02-03', '12:45', '#112233', 'black', ['long', 'old'], ['l', 'tar', 'oil', 'on']])
}))

for (const [selector, text, longer] of [['#text', 'rope', 'rope of hemp'], ['#area', 'two strands\nof hemp', 'two strands\nof hemp and tar']]) {
  test(`the caret and the selection in ${selector} stay when another's text arrives`, withWorld(async ({ open }) => {
    const page = await open('/controls/')
    const other = await open('/controls/')
    await live(page)
    await has(page, selector.slice(1), text)
    await selection(page, selector, 1, 3)
    await other.locator(selector).fill(longer)
    await page.waitForFunction(({ selector, longer }) => /** @type {HTMLInputElement} */ (document.querySelector(selector)).value === longer, { selector, longer })
    assert.deepEqual(await caret(page), { id: selector.slice(1), value: longer, at: [1, 3] })
  }))

  test(`what is typed into the middle of ${selector} stays, with its caret, when another's text arrives`, withWorld(async ({ open, proxy }) => {
    const page = await open('/controls/')
    const other = await open('/controls/', 'direct')
    await live(page)
    await live(other)
    await has(page, selector.slice(1), text)
    // The other's text arrives before the first letter has its outcome.
    proxy.hold('sent')
    await selection(page, selector, 2, 2)
    await page.keyboard.type('ab')
    await other.locator(selector).fill('of another')
    await has(page, selector.slice(1), 'of another')
    await page.keyboard.type('cd')
    const typed = `${text.slice(0, 2)}abcd${text.slice(2)}`
    assert.deepEqual(await caret(page), { id: selector.slice(1), value: typed, at: [6, 6] })
    proxy.resume()
    // Who typed last has it, and both see the same.
    await has(page, selector.slice(1), typed)
    await has(other, selector.slice(1), typed)
    assert.deepEqual(await caret(page), { id: selector.slice(1), value: typed, at: [6, 6] })
  }))
}

test('a composition of an input method is not disturbed by what arrives, and is written when it ends', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  const other = await open('/controls/')
  await live(page)
  await page.locator('#text').fill('')
  await has(other, 'text', '')
  await page.locator('#text').focus()
  const session = await page.context().newCDPSession(page)
  const compose = (/** @type {string} */ text) =>
    session.send('Input.imeSetComposition', { text, selectionStart: text.length, selectionEnd: text.length })
  await compose('な')
  await other.locator('#text').fill('of another')
  await expectText(page, '#state', 'of another')
  await compose('なわ')
  assert.equal((await caret(page)).value, 'なわ', 'what is composed stands')
  assert.equal((await state(other)).text, 'of another', 'and is not written yet')
  await session.send('Input.insertText', { text: '縄' })
  await has(other, 'text', '縄')
  assert.deepEqual(await caret(page), { id: 'text', value: '縄', at: [1, 1] })
}))

test('the focus, the caret and half a word stay with their row while the list turns, grows and shrinks', withWorld(async ({ open, proxy }) => {
  const page = await open('/controls/')
  const other = await open('/controls/')
  await live(page)
  await page.locator('#rows li').nth(3).waitFor()
  await page.evaluate(() => {
    const field = /** @type {HTMLInputElement} */ (document.querySelector('#rows input'))
    field.focus()
    field.setSelectionRange(2, 2)
    Object.assign(window, { field })
  })
  proxy.delay(50)
  await page.keyboard.type('xy')
  await other.locator('#turn').click()
  await names(page, 'Coil 2', 'Coil 3', 'Coil 4', 'Coxyil 1')
  await other.locator('#rows .remove').first().click()
  await other.locator('#add').click()
  await names(page, 'Coil 3', 'Coil 4', 'Coxyil 1', 'Coil 5')
  await page.keyboard.type('z')
  await names(other, 'Coil 3', 'Coil 4', 'Coxyzil 1', 'Coil 5')
  const kept = await page.evaluate(() => document.activeElement === /** @type {any} */ (window).field)
  assert.ok(kept, 'the same field has the focus')
  assert.deepEqual((await caret(page)).at, [5, 5])
}))

test('what is typed into a row of a list within a row stays with both rows while the two lists turn', withWorld(async ({ open, proxy }) => {
  const page = await open('/controls/')
  const other = await open('/controls/')
  await live(page)
  await page.locator('#lockers .rope').nth(3).waitFor()
  await page.evaluate(() => {
    const field = /** @type {HTMLInputElement} */ (document.querySelector('#lockers .rope'))
    field.focus()
    field.setSelectionRange(4, 4)
    Object.assign(window, { field })
  })
  // Far enough for the lists to turn before the first letter has its outcome.
  proxy.delay(100)
  await page.keyboard.type('xy')
  await other.locator('#turn_lockers').click()
  await page.waitForFunction(() => document.querySelector('#lockers span')?.textContent === 'aft')
  await page.keyboard.type('z')
  const rope = (/** @type {number} */ id, name = `Rope ${id}`) => ({ id, name })
  const turned = (/** @type {string} */ typed) => [
    { name: 'aft', ropes: [rope(2), rope(1)] },
    { name: 'fore', ropes: [rope(2), rope(1, typed)] },
  ]
  await has(page, 'lockers', turned('Ropexyz 1'))
  await has(other, 'lockers', turned('Ropexyz 1'))
  await other.locator('#turn_lockers').click()
  await page.waitForFunction(() => document.querySelector('#lockers span')?.textContent === 'fore')
  await page.keyboard.type('!')
  await has(other, 'lockers', [
    { name: 'fore', ropes: [rope(1, 'Ropexyz! 1'), rope(2)] },
    { name: 'aft', ropes: [rope(1), rope(2)] },
  ])
  const kept = await page.evaluate(() => document.activeElement === /** @type {any} */ (window).field)
  assert.ok(kept, 'the same field has the focus')
  assert.deepEqual((await caret(page)).at, [8, 8])
}))

test('a field is written when the person is through, pauses, or takes it back', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  const before = (await state(page)).writes
  await page.locator('#lazy').focus()
  await page.keyboard.type('abc')
  assert.equal((await state(page)).lazy, '')
  await page.keyboard.press('Tab')
  await has(page, 'lazy', 'abc')
  await has(page, 'writes', before + 1)
  await page.locator('#lazy').fill('abcd')
  await page.keyboard.press('Escape')
  assert.equal(await page.locator('#lazy').inputValue(), 'abc')
  // Letters without a pause between them, however slow the machine.
  await page.locator('#paused').evaluate((control) => {
    for (const value of ['o', 'on', 'one']) {
      /** @type {HTMLInputElement} */ (control).value = value
      control.dispatchEvent(new Event('input', { bubbles: true }))
    }
  })
  await has(page, 'paused', 'one')
  await has(page, 'writes', before + 2)
}))

test('keys, modifiers, once, throttle, confirm, submit and files each send what they should', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  /** @type {string[]} the newest first */
  let expected = []
  const sent = async (/** @type {unknown} */ what) => {
    expected = [JSON.stringify(what), ...expected]
    await has(page, 'sent', expected)
  }
  await page.locator('#once').click()
  await sent('once')
  await page.locator('#once').click()
  await page.locator('#enter').focus()
  await page.keyboard.type('heave')
  await page.keyboard.press('Enter')
  await sent('heave')
  assert.equal(await page.locator('#enter').inputValue(), '')
  await page.locator('#chord').fill('up')
  await page.locator('#chord').press('ArrowUp')
  await page.locator('#chord').press('Control+ArrowUp')
  await sent('up')

  await page.evaluate(() => {
    const asked = /** @type {string[]} */ ([])
    Object.assign(window, { asked, confirm: (/** @type {string} */ text) => asked.push(text) > 1 })
  })
  await page.locator('#confirm').click()
  await page.locator('#confirm').click()
  await sent('sure')
  assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).asked), ['Really?', 'Really?'], 'the first time the answer was no')

  await page.locator('#throttle').evaluate((control) => {
    for (const value of ['10', '20', '30', '40']) {
      /** @type {HTMLInputElement} */ (control).value = value
      control.dispatchEvent(new Event('input', { bubbles: true }))
    }
  })
  await sent(10)
  await sent(40)

  await page.locator('#form [name=knots]').fill('5')
  await page.locator('#form [name=fast]').uncheck()
  await page.locator('#send').click()
  await sent({ fast: false, how: 'now', knots: 5 })

  await page.locator('#files').evaluate((control) => {
    const chosen = new DataTransfer()
    chosen.items.add(new File(['abc'], 'a.txt', { type: 'text/plain' }))
    chosen.items.add(new File([], 'b.bin'))
    const input = /** @type {HTMLInputElement} */ (control)
    input.files = chosen.files
    control.dispatchEvent(new Event('change', { bubbles: true }))
  })
  await sent([{ name: 'a.txt', size: 3, type: 'text/plain' }, { name: 'b.bin', size: 0, type: '' }])
  assert.equal(await page.locator('#files').getAttribute('data-files'), 'files: a.txt,b.bin', 'and the files are given to whoever carries them')
}))

test('an action shows on its element how it fares: queued without a network, then applied', withWorld(async ({ open, proxy }) => {
  const page = await open('/controls/')
  await live(page)
  proxy.refuse()
  await expectText(page, '#connection', 'connecting')
  const how = () => page.locator('#turn').evaluate((button) => [button.getAttribute('w-state'), button.getAttribute('aria-busy')])
  await page.locator('#turn').click()
  assert.deepEqual(await how(), ['queued', 'true'])
  proxy.resume()
  await page.waitForFunction(() => document.querySelector('#turn')?.getAttribute('aria-busy') === null)
  assert.match(String((await how())[0]), /^(applied|saved)$/)
  await names(page, 'Coil 2', 'Coil 3', 'Coil 4', 'Coil 1')
}))

test('what another script adds is bound, and what it takes out is let go', withWorld(async ({ open }) => {
  const page = await open('/controls/')
  await live(page)
  await page.evaluate(() => {
    const added = document.createElement('p')
    added.id = 'added'
    const button = document.createElement('button')
    added.setAttribute('w-class:hauled', 'on')
    for (const [name, value] of [['w-text', 'text'], ['w-on:click', 'turn']]) button.setAttribute(name, value)
    added.append(button)
    document.querySelector('main')?.append(added)
    Object.assign(window, { added })
  })
  await expectText(page, '#added button', 'rope')
  await page.locator('#added button').click()
  await names(page, 'Coil 2', 'Coil 3', 'Coil 4', 'Coil 1')
  await page.locator('#on').check()
  await page.locator('#added.hauled').waitFor()
  await page.evaluate(() => /** @type {any} */ (window).added.remove())
  await page.locator('#text').fill('cable')
  await expectText(page, '#state', 'cable')
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
  assert.equal(await page.evaluate(() => /** @type {any} */ (window).added.textContent), 'rope')
}))

/**
 * Waits until the rows have these names.
 * @param {Page} page
 * @param {...string} expected
 */
async function names(page, ...expected) {
  const shown = () => page.evaluate(() => [...document.querySelectorAll('#rows input')].map((row) => /** @type {HTMLInputElement} */ (row).value).join())
  await page.waitForFunction(
    (expected) => [...document.querySelectorAll('#rows input')].map((row) => /** @type {HTMLInputElement} */ (row).value).join() === expected,
    expected.join(),
  ).catch(async (error) => {
    throw new Error(`the rows are ${await shown()}`, { cause: error })
  })
}
