/**
 * The configurations of docs/guide/11-deployment.md in a real nginx, with TLS, before the app of that page, in Chromium.
 *
 * `cargo xtask nginx` runs it; it needs Debian's nginx-light and openssl. nginx has a folder and a port of its own and no
 * privileges. What differs from the files in `tests/nginx` are addresses and the certificate's place, and each of those
 * is looked for, so that nothing is tested that is not in the file.
 *
 * @module
 */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { chromium } from 'playwright-core'

import { guide, write } from './guide.js'
import { expectText } from './harness.js'
import { built } from './server.js'

const NGINX = process.env.NGINX ?? '/usr/sbin/nginx'
const CONFIGS = fileURLToPath(new URL('../nginx/', import.meta.url))
const HOST = 'app.example.org'
/** Debian's "nobody": nginx needs no privileges for a port of its own. */
const NOBODY = 65_534
const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
const run = promisify(execFile)

let folder = ''
const running = /** @type {import('node:child_process').ChildProcess[]} */ ([])

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'windlass-nginx-'))
  await run('openssl', [
    'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${HOST}`, '-addext', `subjectAltName=DNS:${HOST}`,
    '-keyout', path.join(folder, 'key.pem'), '-out', path.join(folder, 'cert.pem'),
  ])
  await chmod(folder, 0o755)
  await chmod(path.join(folder, 'key.pem'), 0o644)
  const page = guide().pages.find(({ name }) => name === 'deployed')
  assert.ok(page)
  await write(page, folder, async () => {})
})

after(async () => {
  // nginx takes its workers along when it is asked, and not when it is killed.
  for (const child of running) await end(child, child.spawnfile === NGINX ? 'SIGTERM' : 'SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

test('a page works through nginx: TLS, HTTP/2, upgrade, cookies, and the address of whoever is in front', async () => {
  const app = await App.start()
  const nginx = await Nginx.start('app.conf', { '127.0.0.1:8080': app.address })
  await withPage(nginx, async (page, context) => {
    await page.getByRole('button', { name: 'Visit' }).click()
    await expectText(page, 'output', '1')
    const protocol = await page.evaluate(() => /** @type {PerformanceNavigationTiming} */ (performance.getEntriesByType('navigation')[0]).nextHopProtocol)
    assert.equal(protocol, 'h2')
    const cookies = await context.cookies()
    assert.ok(cookies.length > 0, 'a browser is known by its cookie')
    for (const { name, secure, httpOnly } of cookies) assert.deepEqual([name, secure, httpOnly], [name, true, true])
    // A second tab of this browser has the same session, since its cookie came through.
    const second = await context.newPage()
    await second.goto(`https://${HOST}/`)
    await expectText(second, 'output', '1')
    await second.getByRole('button', { name: 'Visit' }).click()
    await expectText(page, 'output', '2')
    // The app that is nested beneath a path.
    const nested = await page.evaluate(async () => {
      const { connect } = await import(/** @type {any} */ ('/blue/windlass/windlass.js?manual'))
      const app = connect()
      await app.action('visit')
      return app.document.count
    })
    assert.equal(nested, 1)
  })
})

test('what nginx passes on is what the app is told, and strangers are refused', async () => {
  const app = await App.start()
  const nginx = await Nginx.start('app.conf', { '127.0.0.1:8080': app.address })
  const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Protocol': 'windlass.v1' }
  const ask = (/** @type {Record<string, string>} */ headers, path = '/windlass/socket') => new Promise((resolve, reject) => {
    const request = https.request({ host: '127.0.0.1', port: nginx.port, path, rejectUnauthorized: false, servername: HOST, headers: { Host: HOST, ...headers } })
    request.on('response', (response) => { response.resume(); resolve(response.statusCode) })
    request.on('upgrade', (response, socket) => { socket.destroy(); resolve(response.statusCode) })
    request.on('error', reject)
    request.end()
  })
  assert.equal(await ask({}, '/'), 200)
  assert.equal(await ask({ ...upgrade, Origin: `https://${HOST}` }), 101)
  assert.equal(await ask({ ...upgrade, Origin: 'https://elsewhere.example' }), 403)
})

test('a deploy: the old process is drained, the new one has the sessions, nginx is reloaded, the page goes on', async () => {
  const data = path.join(folder, 'data')
  const old = await App.start({ DATA: data })
  const nginx = await Nginx.start('app.conf', { '127.0.0.1:8080': old.address })
  await withPage(nginx, async (page) => {
    await page.getByRole('button', { name: 'Visit' }).click()
    await expectText(page, 'output', '1')
    await page.evaluate(() => { document.title = 'not loaded again' })
    assert.equal(await old.stop(), 0, 'the old process ended gracefully')
    await page.getByRole('button', { name: 'Visit' }).click()
    const fresh = await App.start({ DATA: data })
    await nginx.reload({ '127.0.0.1:8080': fresh.address })
    await expectText(page, 'output', '2')
    assert.equal(await page.title(), 'not loaded again')
  })
})

test('two servers: a browser keeps to the one that it came to first', async () => {
  const [one, two] = [await App.start(), await App.start()]
  const nginx = await Nginx.start('sticky.conf', { '127.0.0.1:8080': one.address, '127.0.0.1:8081': two.address })
  for (let browser = 0; browser < 4; browser++) {
    await withPage(nginx, async (page) => {
      await page.getByRole('button', { name: 'Visit' }).click()
      await expectText(page, 'output', '1')
      for (let times = 0; times < 3; times++) {
        await page.reload()
        await expectText(page, 'output', '1')
      }
    })
  }
})

/**
 * A page in a browser for which nginx is the whole world.
 * @param {Nginx} nginx
 * @param {(page: import('playwright-core').Page, context: import('playwright-core').BrowserContext) => Promise<void>} body
 */
async function withPage(nginx, body) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    chromiumSandbox: process.getuid?.() !== 0,
    args: [`--host-resolver-rules=MAP ${HOST}:443 127.0.0.1:${nginx.port}`],
  })
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    const page = await context.newPage()
    await page.goto(`https://${HOST}/`)
    await body(page, context)
  } catch (error) {
    throw new Error(await nginx.log(), { cause: error })
  } finally {
    await browser.close()
  }
}

/** The app of the page, on a port of its own. */
class App {
  address = ''

  /** @param {import('node:child_process').ChildProcess} child */
  constructor(child) {
    this.child = child
  }

  /** @param {Record<string, string>} [env] */
  static async start(env = {}) {
    const program = await built('guide')
    const child = spawn(program, [folder, 'deployed=deployed'], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } })
    running.push(child)
    const app = new App(child)
    for await (const line of createInterface({ input: child.stdout })) {
      app.address = /listening on http:\/\/(\S+)/.exec(line)?.[1] ?? ''
      if (app.address) break
    }
    assert.ok(app.address, `${program} does not listen`)
    return app
  }

  /** As an operator does. */
  stop() {
    return end(this.child, 'SIGTERM')
  }
}

/** One nginx in a folder of its own. */
class Nginx {
  /**
   * @param {string} file
   * @param {number} port
   */
  constructor(file, port) {
    this.file = file
    this.port = port
    this.prefix = path.join(folder, `nginx-${port}`)
    /** @type {import('node:child_process').ChildProcess | undefined} */
    this.child = undefined
  }

  /**
   * @param {string} file of tests/nginx
   * @param {Record<string, string>} addresses what stands for an address in it
   */
  static async start(file, addresses) {
    const nginx = new Nginx(file, await freePort())
    await mkdir(nginx.prefix)
    if (asNobody.uid) await chown(nginx.prefix, NOBODY, NOBODY)
    await nginx.#configure(addresses)
    await run(NGINX, ['-t', ...nginx.#options()], asNobody)
    nginx.child = spawn(NGINX, nginx.#options(), { stdio: 'inherit', ...asNobody })
    running.push(nginx.child)
    await answering(nginx.port)
    return nginx
  }

  /** @param {Record<string, string>} addresses */
  async reload(addresses) {
    await this.#configure(addresses)
    this.child?.kill('SIGHUP')
  }

  async log() {
    return readFile(path.join(this.prefix, 'error.log'), 'utf8').catch(String)
  }

  #options() {
    return ['-p', this.prefix, '-c', path.join(this.prefix, 'nginx.conf'), '-e', path.join(this.prefix, 'error.log')]
  }

  /** @param {Record<string, string>} addresses */
  async #configure(addresses) {
    let text = await readFile(CONFIGS + this.file, 'utf8')
    const changes = {
      ...addresses,
      'listen 443 ssl': `listen 127.0.0.1:${this.port} ssl`,
      '/etc/ssl/app.example.org.pem': path.join(folder, 'cert.pem'),
      '/etc/ssl/app.example.org.key': path.join(folder, 'key.pem'),
    }
    for (const [what, by] of Object.entries(changes)) {
      assert.ok(text.includes(what), `${this.file} has no ${what}`)
      text = text.replace(what, by)
    }
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${this.prefix}/${name};`)
    await writeFile(path.join(this.prefix, 'nginx.conf'), `daemon off;\npid ${this.prefix}/pid;\nworker_processes 1;\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\n${text}}\n`)
  }
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
async function end(child, signal) {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
  return child.exitCode
}

/** One that nobody has: nginx cannot be asked which it took. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {net.AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return port
}

/** @param {number} port */
async function answering(port) {
  for (let tries = 0; tries < 200; tries++) {
    const socket = net.connect(port, '127.0.0.1')
    const up = await Promise.race([once(socket, 'connect').then(() => true, () => false)])
    socket.destroy()
    if (up) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nginx does not listen on ${port}`)
}
