/**
 * The CSV analysis by an external command: started, watched, reloaded in the middle, cancelled, failed, in two languages.
 * @module
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after } from 'node:test'
import { promisify } from 'node:util'

import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'
import { told } from './notices.js'

/** @import { Page } from 'playwright-core' */

after(closeBrowser)

test('an analysis shows each column as it is ready, and goes on while the page is loaded again', withWorld(async ({ open, reload }) => {
  const page = await open('/csv/')
  await start(page, { rows: 1_000_000, disk: 'old' })
  await expectText(page, '#status', 'running')
  await columns(page, 1)
  assert.ok(await page.locator('#columns li').count() < 5, 'one at a time')
  await reload(page)
  await expectText(page, '#status', 'running')
  assert.ok(await page.locator('#columns li').count() >= 1, 'what was found is still there')
  await columns(page, 2)
  await screenshots(page, 'csv-running')
  await columns(page, 5)
  await expectText(page, '#status', 'done')
  await told(page, '1000000 rows analysed')
  await expectText(page, '#summary', /^1,000,000 rows,\s+30\.2 MB, in [\d.]+ s$/)
  assert.deepEqual(await notes(page), [
    '12 values; Lagos most often, 15 %',
    '8 values; chart most often, 23 %',
    '1.00 to 7.00, on average 2.37',
    '1.99 to 251.49, on average 64.34',
    '5.00 to 504.00, on average 246.43',
  ])
  await screenshots(page, 'csv')
}))

test('a cancel in the middle ends the command, and nothing of it is left', withWorld(async ({ open }) => {
  const page = await open('/csv/')
  await start(page, { rows: 1_000_000, disk: 'old' })
  await columns(page, 1)
  assert.notDeepEqual(await running(), [], 'the command is a process')
  await page.locator('#stop').click()
  await expectText(page, '#status', 'cancelled')
  // Its end is told when it is gone.
  assert.deepEqual(await running(), [])
  assert.ok(await page.locator('#columns li').count() < 5)
  await start(page, { rows: 20_000, disk: 'fast' })
  await expectText(page, '#status', 'done')
  await columns(page, 5)
}))

test('a command that fails shows how, and the end of its log', withWorld(async ({ open }) => {
  const page = await open('/csv/')
  await start(page, { rows: 20_000, disk: 'fast', broken: true })
  await expectText(page, '#status', 'failed')
  await expectText(page, '#reason', /^the command ended with status 1; its log ends:[^]*error: line 14001: "n\/a" is no number in column price$/)
  await columns(page, 3)
  await page.locator('.job:last-of-type .log').getByText('quantity: 1.00 to 7.00').waitFor()
  await screenshots(page, 'csv-failed')
  await page.locator('#broken').uncheck()
  await page.locator('#start').click()
  await expectText(page, '#status', 'done')
}))

test('the same analysis in Python finds the same', withWorld(async ({ open }) => {
  const page = await open('/csv/')
  await expectText(page, '#connection', 'live')
  await page.waitForFunction(() => document.querySelectorAll('#language option').length === 2)
  const missing = await page.locator('#language option[value=python]').isDisabled()
  assert.ok(!missing, 'python3 is needed: on Debian, apt-get install python3')
  const found = []
  for (const language of ['rust', 'python']) {
    await start(page, { rows: 20_000, disk: 'fast', language })
    await columns(page, 5)
    await expectText(page, '#status', 'done')
    found.push(await notes(page))
  }
  assert.deepEqual(found[0], found[1])
}))

/**
 * @param {Page} page
 * @param {{ rows: number, disk: string, broken?: boolean, language?: string }} options
 */
async function start(page, { rows, disk, broken = false, language = 'rust' }) {
  await expectText(page, '#connection', 'live')
  await page.locator('#rows').fill(String(rows))
  await page.locator('#disk').selectOption(disk)
  await page.locator('#language').selectOption(language)
  await page.locator('#broken').setChecked(broken)
  const jobs = await page.locator('.job').count()
  await page.locator('#start').click()
  // What the page showed of the run before is gone with the delta that brings this one.
  await page.waitForFunction((jobs) => document.querySelectorAll('.job').length > jobs, jobs)
}

/**
 * Waits for so many columns.
 * @param {Page} page
 * @param {number} count
 */
async function columns(page, count) {
  await page.waitForFunction((count) => document.querySelectorAll('#columns li').length >= count, count)
}

/** @param {Page} page */
async function notes(page) {
  return page.locator('#columns .note').allTextContents()
}

/** The processes below this one that are the command. */
async function running() {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,args='])
  const lines = stdout.trim().split('\n').map((line) => line.trim().split(/\s+/))
  const parents = new Map(lines.map(([pid, parent]) => [pid, parent]))
  /** @param {string | undefined} pid */
  const isBelow = (pid) => {
    for (; pid; pid = parents.get(pid)) if (pid === String(process.pid)) return true
    return false
  }
  return lines.filter(([pid, , ...args]) => args[1] === 'analyse-csv' && isBelow(pid))
}
