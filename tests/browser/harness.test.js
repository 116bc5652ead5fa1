/**
 * The harness itself, on a server of a few lines: it must see what a page does wrong.
 * @module
 */

import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before } from 'node:test'

import { CHROMIUM_ONLY } from './engines.js'
import { closeBrowser, expectText, screenshots, test, withWorld } from './harness.js'

/** Listens as the demo does, ends as it does, and serves pages with one fault each. */
const STAND_IN = `#!${process.execPath}
const pages = {
  '/fine': '<h1>fine</h1><script src="/count.js"></script>',
  '/throws': '<script src="/throws.js"></script>',
  '/inline': '<h1>inline</h1><script>1</script>',
  '/wide': '<h1 style="white-space: pre">' + 'wide '.repeat(400) + '</h1>',
}
const scripts = {
  '/count.js': "sessionStorage.count = Number(sessionStorage.count ?? 0) + 1; document.querySelector('h1').textContent = sessionStorage.count",
  '/throws.js': "throw new Error('from the page')",
}
const server = require('node:http').createServer((request, response) => {
  response.setHeader('content-security-policy', "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; require-trusted-types-for 'script'")
  const script = scripts[request.url]
  response.setHeader('content-type', script ? 'text/javascript' : 'text/html')
  response.end(script ?? '<!doctype html><link rel="icon" href="data:,"><title>t</title>' + pages[request.url])
})
server.listen(0, '127.0.0.1', () => console.log('listening on http://127.0.0.1:' + server.address().port))
process.on('SIGTERM', () => process.exit(0))
`

/** @type {string} */
let folder
const chosen = process.env.WINDLASS_DEMO
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'windlass-harness-'))
  const program = path.join(folder, 'server.cjs')
  await writeFile(program, STAND_IN)
  await chmod(program, 0o755)
  process.env.WINDLASS_DEMO = program
})
after(async () => {
  await closeBrowser()
  await rm(folder, { recursive: true })
  if (chosen === undefined) delete process.env.WINDLASS_DEMO
  else process.env.WINDLASS_DEMO = chosen
})

/**
 * @param {string} address
 * @param {RegExp} complaint
 */
async function complains(address, complaint) {
  const world = withWorld(async ({ open }) => {
    const page = await open(address)
    await page.waitForLoadState()
  })
  await assert.rejects(world(), (error) => complaint.test(String(error)))
}

test('a page without fault passes; a reload and a duplicated tab keep its storage', withWorld(async ({ open, reload, duplicate }) => {
  const page = await open('/fine')
  await expectText(page, 'h1', '1')
  await reload(page)
  await expectText(page, 'h1', /^2$/)
  const twin = await duplicate(page)
  await expectText(twin, 'h1', '3')
  await expectText(await open('/fine'), 'h1', '1')
  await screenshots(page, 'harness')
}))

test('an error in the page fails its test', () => complains('/throws', /thrown: Error: from the page/))

test('a violation of the content security policy fails its test', () => complains('/inline', /content security policy: script-src/))

test('a page that is wider than the window fails its test', async () => {
  const world = withWorld(async ({ open }) => screenshots(await open('/wide'), 'harness-wide'))
  await assert.rejects(world(), (error) => /wider than a window of 360/.test(String(/** @type {Error} */ (error).cause)))
})

test('a load that the test did not ask for fails it', async () => {
  const world = withWorld(async ({ open }) => {
    const page = await open('/fine')
    await Promise.all([page.waitForEvent('load'), page.evaluate(() => location.reload())])
  })
  await assert.rejects(world(), (error) => /was loaded again/.test(String(error)))
})

test('what is left to Chromium is there by that name', async () => {
  const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith('.test.js'))
  const sources = await Promise.all(files.map((file) => readFile(new URL(file, import.meta.url), 'utf8')))
  const lost = [...CHROMIUM_ONLY.keys()].filter((name) => !files.includes(name) && !sources.some((source) => source.includes(`test('${name}'`)))
  assert.deepEqual(lost, [], 'engines.js names tests that are gone')
})

test('a restart puts another server behind the same address', withWorld(async ({ open, restart, reload, server }) => {
  const page = await open('/fine')
  await restart()
  await reload(page)
  await expectText(page, 'h1', '2')
  await restart('kill')
  await reload(page)
  await expectText(page, 'h1', '3')
  assert.equal(await server.stop(), 0)
}))
