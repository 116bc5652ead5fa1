/**
 * TodoMVC eighty milliseconds away, used by a person whom a seed decides: what she did is what is there in the end, by a
 * model of the specification. Nothing typed is lost, doubled or overwritten, through reloads and cuts.
 *
 * A run that fails prints the line that replays it; `WINDLASS_SEED=7` lives that one seed only.
 * @module
 */

import { after } from 'node:test'

import { closeBrowser, test, withWorld } from './harness.js'

/** @import { Page } from 'playwright-core' */
/** @typedef {{ title: string, completed: boolean }} Todo */

after(closeBrowser)

const SEEDS = process.env.WINDLASS_SEED ? [Number(process.env.WINDLASS_SEED)] : [1, 2, 3]
const STEPS = 24
const FILTERS = { '#/': () => true, '#/active': (/** @type {Todo} */ todo) => !todo.completed, '#/completed': (/** @type {Todo} */ todo) => todo.completed }

for (const seed of SEEDS) {
  test(`TodoMVC: what a person does is what is there, seed ${seed}`, withWorld(async ({ open, proxy, reload }) => {
    const random = numbers(seed)
    const done = /** @type {string[]} */ ([])
    const page = await open('/todomvc/')
    await page.locator('.new-todo').waitFor()
    proxy.delay(80)
    const model = { todos: /** @type {Todo[]} */ ([]), filter: /** @type {keyof typeof FILTERS} */ ('#/') }
    try {
      for (let step = 0; step < STEPS; step++) await act(page, model, random, step, done, { cut: () => proxy.cut(), reload: () => reload(page) })
      await settled(page, model)
      // The server has the same: a tab of its own knows nothing of this one's.
      const other = await open('/todomvc/' + model.filter)
      await settled(other, model)
    } catch (error) {
      const shown = await page.locator('.todoapp').innerText().catch(() => 'nothing')
      throw new Error(`WINDLASS_SEED=${seed} node --test todomvc-seeds.test.js\n${done.join('\n')}\nwanted: ${JSON.stringify(model)}\nshown: ${shown}`, { cause: error })
    }
  }))
}

/**
 * One thing that a person does, to the page and to the model. She goes by what she sees, and touches nothing that she has
 * just thrown away.
 * @param {Page} page
 * @param {{ todos: Todo[], filter: keyof typeof FILTERS }} model
 * @param {(below: number) => number} random
 * @param {number} step
 * @param {string[]} done
 * @param {{ cut: () => void, reload: () => Promise<void> }} world
 */
async function act(page, model, random, step, done, world) {
  const seen = await page.evaluate(() => ({
    rows: [...document.querySelectorAll('.todo-list li')].flatMap((item, at) => {
      const [title, toggle] = [item.querySelector('label')?.textContent ?? '', /** @type {HTMLInputElement} */ (item.querySelector('.toggle'))]
      return item.checkVisibility() ? [{ at, title, completed: toggle.checked }] : []
    }),
    all: /** @type {HTMLInputElement | null} */ (document.querySelector('.toggle-all'))?.checked,
  }))
  const rows = seen.rows.filter(({ title }) => model.todos.some((todo) => todo.title === title))
  const row = rows[random(rows.length)]
  const todo = model.todos.find(({ title }) => title === row?.title)
  const say = (/** @type {string} */ what) => void done.push(`${step}: ${what}`)
  const choice = random(12)
  if (choice === 0) {
    say('cut')
    world.cut()
  } else if (choice === 1) {
    say('reload')
    await world.reload()
    await page.locator('.new-todo').waitFor()
    // What is sent while its part is cut off comes back into the field with an error: parts.test.js has that.
    await page.waitForFunction(() => ['forms', 'model'].every((part) => performance.getEntriesByType('resource').some(({ name }) => name.includes(`/${part}.js`))))
  } else if (choice === 2 && seen.all !== undefined && model.todos.length > 0) {
    say(`all: ${!seen.all}`)
    await page.locator('.toggle-all').click()
    for (const todo of model.todos) todo.completed = !seen.all
    // What the rows are then is the server's to say, and she looks before she goes on.
    await settled(page, model)
  } else if (choice === 3 && (await page.locator('.clear-completed').isVisible())) {
    say('clear')
    await page.locator('.clear-completed').click()
    model.todos = model.todos.filter(({ completed }) => !completed)
    await settled(page, model)
  } else if (choice === 4 && row && todo) {
    say(`destroy ${row.title}`)
    await item(page, row.at).locator('.destroy').focus()
    await page.keyboard.press('Enter')
    model.todos.splice(model.todos.indexOf(todo), 1)
    await settled(page, model)
  } else if (choice === 5 && model.todos.length > 0 && seen.all !== undefined) {
    const filters = /** @type {(keyof typeof FILTERS)[]} */ (Object.keys(FILTERS))
    model.filter = filters[random(3)] ?? '#/'
    say(`filter ${model.filter}`)
    await page.locator(`.filters [href="${model.filter}"]`).click()
  } else if (choice <= 7 && row && todo) {
    say(`tick ${row.title}: ${!row.completed}`)
    await item(page, row.at).locator('.toggle').click()
    todo.completed = !row.completed
    // It may have left the list that she looks at.
    await settled(page, model)
  } else if (choice <= 9 && row && todo) {
    const how = ['Enter', 'Escape', 'blur'][random(3)] ?? ''
    say(`edit ${row.title}, ${how}`)
    await item(page, row.at).locator('label').dblclick()
    await page.locator('.edit').waitFor()
    await page.keyboard.press('End')
    await page.keyboard.type(`+${step}`)
    if (how === 'blur') await page.locator('h1').click()
    else await page.keyboard.press(how)
    await page.locator('.edit').waitFor({ state: 'detached' })
    if (how !== 'Escape') todo.title += `+${step}`
  } else {
    say(`add t${step}`)
    await page.locator('.new-todo').pressSequentially(` t${step} `)
    await page.keyboard.press('Enter')
    // At once, but right after a reload, when what empties fields is on its way as well.
    await page.waitForFunction(() => /** @type {HTMLInputElement} */ (document.querySelector('.new-todo')).value === '')
    model.todos.push({ title: `t${step}`, completed: false })
  }
}

/**
 * @param {Page} page
 * @param {number} at
 */
function item(page, at) {
  return page.locator('.todo-list > li').nth(at)
}

/**
 * Waits until the page shows what the model has: titles, ticks and counter.
 * @param {Page} page
 * @param {{ todos: Todo[], filter: keyof typeof FILTERS }} model
 */
async function settled(page, { todos, filter }) {
  const rows = todos.filter(FILTERS[filter]).map(({ title, completed }) => `${title} ${completed}`)
  const left = todos.filter(({ completed }) => !completed).length
  const count = todos.length > 0 ? `${left} item${left === 1 ? '' : 's'} left` : undefined
  await page.waitForFunction((wanted) => {
    const items = [...document.querySelectorAll('.todo-list li')].filter((item) => item.checkVisibility())
    const rows = items.map((item) => `${item.querySelector('label')?.textContent} ${item.className === 'completed'}`)
    return JSON.stringify({ rows, count: document.querySelector('.todo-count')?.textContent?.trim() }) === wanted
  }, JSON.stringify({ rows, count }))
}

/**
 * mulberry32: the same numbers for the same seed.
 * @param {number} seed
 */
function numbers(seed) {
  let state = seed >>> 0
  return (/** @type {number} */ below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}
