/**
 * docs/guide, executed: each page is served by the app beside it and opened in Chromium, and does what the text says.
 *
 * Several test files share it, so that none of them takes long.
 * @module
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before } from 'node:test'

import { clean, PART } from './axe.js'
import { ENGINE } from './engines.js'
import { guide, write } from './guide.js'
import { bundle, renderedOnServer } from './guide-bundle.js'
import { closeBrowser, expectText, launch, NETWORK, PATIENCE_MS, test } from './harness.js'
import { told } from './notices.js'
import { Proxy } from './proxy.js'
import { built } from './server.js'

const Steps = /** @type {FunctionConstructor} */ (Object.getPrototypeOf(async () => {}).constructor)

/**
 * What a server answers to a request of any headers, which a browser would not send.
 * @param {string} url
 * @param {Record<string, string>} headers
 * @returns {Promise<number | undefined>}
 */
function status(url, headers) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { headers })
    request.on('response', (response) => resolve(response.resume().statusCode))
    request.on('upgrade', (response, socket) => resolve((socket.destroy(), response.statusCode)))
    request.on('error', reject)
  })
}

/**
 * Runs the tests of some files of the guide.
 * @param {RegExp} files which, by name
 */
export function run(files) {
  const all = guide()
  const tests = all.tests.filter(({ at }) => files.test(at))
  const pages = all.pages.filter(({ name }) => tests.some(({ page }) => page === name))
  assert.ok(tests.length > 0, `no page of the guide is ${files}`)
  const addresses = /** @type {Map<string, string>} */ (new Map())
  const log = /** @type {string[]} */ ([])
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let server
  let folder = ''

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'windlass-guide-'))
    for (const page of pages) await write(page, folder, bundle)
    const program = await built('guide')
    server = spawn(program, [folder, ...pages.map(({ name, app }) => `${name}=${app}`)], { stdio: ['ignore', 'pipe', 'pipe'] })
    createInterface({ input: /** @type {import('node:stream').Readable} */ (server.stderr) }).on('line', (line) => log.push(line))
    const lines = createInterface({ input: /** @type {import('node:stream').Readable} */ (server.stdout) })
    await new Promise((resolve, reject) => {
      server?.on('error', (error) => reject(new Error(`${program}: ${error.message}; cargo build -p guide`)))
      server?.on('exit', (code) => reject(new Error(`${program} ended with ${code}\n${log.join('\n')}`)))
      lines.on('line', (line) => {
        const [, name, url] = /^(\S+) listening on (\S+)$/.exec(line) ?? []
        if (name) addresses.set(name, url)
        if (addresses.size === pages.length) resolve(undefined)
      })
    })
  })

  after(async () => {
    await closeBrowser()
    if (server && server.exitCode === null) {
      const ended = once(server, 'exit')
      server.kill('SIGKILL')
      await ended
    }
    await rm(folder, { recursive: true, force: true })
  })

  /** @param {string} name of a page whose script also runs on a server */
  async function rendered(name) {
    const [one] = pages.find((page) => page.name === name)?.bundles ?? []
    return renderedOnServer(one, path.join(folder, name))
  }

  for (const { page: name, at, body } of tests) {
    test(at, async () => {
      const proxy = await Proxy.start(Number(new URL(/** @type {string} */ (addresses.get(name))).port))
      const context = await (await launch()).context()
      context.setDefaultTimeout(PATIENCE_MS)
      const said = /** @type {string[]} */ ([])
      const open = async (query = '') => {
        const page = await context.newPage()
        page.on('pageerror', (error) => said.push(`thrown: ${error.stack ?? error}`))
        page.on('console', (message) => {
          if (!['error', 'warning'].includes(message.type()) || (proxy.disturbed && NETWORK.test(message.text()))) return
          said.push(message.text())
        })
        await page.goto(`${proxy.url}/${query}`)
        return page
      }
      try {
        const page = await open()
        await new Steps('page', 'open', 'context', 'proxy', 'expectText', 'assert', 'said', 'rendered', 'status', 'told', body)(
          page, open, context, proxy, expectText, assert, said, rendered, status, told,
        )
        // With all that the steps have done to it.
        if (ENGINE === 'chromium') await clean(page, 'reduce', PART)
        assert.deepEqual(said, [], 'the page complained')
      } catch (error) {
        throw new Error([...said.map((line) => `the page said: ${line}`), ...log.slice(-20)].join('\n'), { cause: error })
      } finally {
        await context.close()
        await proxy.close()
      }
    })
  }
}
