/**
 * The small examples of the demo: the counter, the streaming text, and the source of each.
 * @module
 */

import assert from 'node:assert/strict'
import { after } from 'node:test'

import { addOne, at, button, shown, startText, story, STORY, streamed, streamedAll, watchText } from './demo.js'
import { closeBrowser, expectText, test, withWorld } from './harness.js'

after(closeBrowser)

test('the counter counts up and down and starts again', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  await addOne(page)
  await expectText(page, '#count', '1')
  await button(page, 'counter', 'Add 10').click()
  await expectText(page, '#count', '11')
  await button(page, 'counter', '−1').click()
  await expectText(page, '#count', '10')
  await button(page, 'counter', 'Reset').click()
  await expectText(page, '#count', '0')
  await expectText(page, '#counter .wire', '23 bytes  [["counter","count",0]]')
}))

test('text streams token by token, stops, goes on where it stopped, and is cleared', withWorld(async ({ open }) => {
  const page = await open()
  await shown(page)
  const watched = await watchText(page)
  await startText(page)
  await streamed(page, 30)
  await button(page, 'text', 'Stop').click()
  await at(page, '#text').getByText('streaming').last().waitFor({ state: 'hidden' })
  const stopped = await story(page)
  assert.ok(stopped && stopped !== STORY && STORY.startsWith(stopped), `${stopped}`)
  await startText(page)
  await streamedAll(page)
  assert.equal(await story(page), STORY)
  const { seen, wrong } = await watched()
  assert.deepEqual(wrong, [])
  // 600 tokens in 12 s: were they sent in lumps, far fewer texts would be seen.
  assert.ok(seen > 150, `${seen} texts were seen on the way`)
  await button(page, 'text', 'Clear').click()
  await expectText(page, '#tokens', '0')
  assert.equal(await story(page), '')
}))

test('controls and fields follow each other, and nothing that is typed is lost', withWorld(async ({ open, proxy }) => {
  const page = await open()
  await shown(page)
  await at(page, '#name').pressSequentially('Ada Lovelace', { delay: 5 })
  await expectText(page, '#echo', 'Ada Lovelace')
  assert.equal(await at(page, '#name').inputValue(), 'Ada Lovelace')
  await at(page, '#quiet').check()
  await at(page, '#guests').fill('13')
  await page.getByText('The table seats twelve').first().waitFor()
  assert.equal(await at(page, '#guests').inputValue(), '13', 'what was refused can be mended')
  await at(page, '#guests').fill('5')
  await button(page, 'fields', 'Reserve').click()
  await expectText(page, '#answer', 'a table for 5 is kept for Ada Lovelace, by the window')

  // The row that is written to is the one that was shown, wherever it is by now.
  const first = at(page, '#fields .dish').first()
  assert.equal(await first.inputValue(), 'Soup')
  await first.focus()
  await button(page, 'fields', 'Turn the menu').click()
  await at(page, '#fields .dish[aria-label=Soup]').last().fill('Broth')
  await page.waitForFunction(() =>
    [...document.querySelectorAll('#fields .dish')].map((dish) => dish.getAttribute('aria-label')).join() === 'Pie,Plums,Broth')

  // What is typed without a network goes out when there is one.
  proxy.refuse()
  await expectText(page, '#connection', 'waiting to reconnect')
  await at(page, '#name').fill('Grace')
  proxy.resume()
  await expectText(page, '#echo', 'Grace')
}))

test('the source of each example is a click away', withWorld(async ({ open, context }) => {
  const page = await open()
  for (const card of ['counter', 'start', 'progress', 'end', 'result', 'text', 'fields', 'table']) {
    const links = await at(page, `#${card} > footer a`).evaluateAll((links) => links.map((link) => /** @type {HTMLAnchorElement} */ (link).href))
    assert.ok(links.length >= 2, `${card} links to its Rust and its HTML`)
    for (const link of links) {
      const answer = await context.request.get(link)
      assert.equal(answer.status(), 200, link)
      assert.match(answer.headers()['content-type'], /^text\/plain/)
      assert.match(await answer.text(), link.endsWith('.rs') ? /^\/\/! / : new RegExp(`^<section id="${card}"[^]*</section>\\n$`))
    }
  }
}))
