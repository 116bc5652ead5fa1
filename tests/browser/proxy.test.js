/**
 * The proxy itself: each fault does what it says, nothing is lost, doubled or turned round.
 * @module
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, test } from 'node:test'

import { Proxy } from './proxy.js'

/** @type {(() => unknown)[]} */
const cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A server that sends back what it gets, a proxy before it. */
async function echo() {
  const sockets = new Set()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {net.AddressInfo} */ (server.address())
  const proxy = await Proxy.start(port)
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  cleanups.push(() => proxy.close())
  return { proxy, port }
}

/** @param {Proxy} proxy */
async function dial(proxy) {
  const socket = net.connect(Number(new URL(proxy.url).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.setEncoding('utf8')
  cleanups.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

/**
 * The next bytes, joined until there are as many as expected.
 * @param {net.Socket} socket
 * @param {number} length
 */
async function read(socket, length) {
  let text = ''
  while (text.length < length) {
    const [chunk] = await once(socket, 'data')
    text += chunk
  }
  return text
}

test('bytes go through in order in both directions', async () => {
  const { proxy } = await echo()
  const socket = await dial(proxy)
  const text = 'x'.repeat(300_000) + 'end'
  socket.write(text)
  assert.equal(await read(socket, text.length), text)
  assert.equal(proxy.open, 1)
  assert.equal(proxy.disturbed, false)
})

test('the end of one side reaches the other', async () => {
  const { proxy } = await echo()
  const socket = await dial(proxy)
  socket.end('last')
  assert.equal(await read(socket, 4), 'last')
  await once(socket, 'close')
})

test('a cut ends every connection, and a new one works at once', async () => {
  const { proxy } = await echo()
  const sockets = [await dial(proxy), await dial(proxy)]
  for (const socket of sockets) {
    socket.write('a')
    await read(socket, 1)
  }
  const closed = sockets.map((socket) => once(socket, 'close'))
  proxy.cut()
  await Promise.all(closed)
  assert.equal(proxy.disturbed, true)
  const socket = await dial(proxy)
  socket.write('b')
  assert.equal(await read(socket, 1), 'b')
})

test('while it refuses, connections end; after resume they work', async () => {
  const { proxy } = await echo()
  proxy.refuse()
  const refused = net.connect(Number(new URL(proxy.url).port), '127.0.0.1')
  // Whether the reset comes before or after 'connect' is the kernel's choice.
  refused.on('error', () => {})
  await new Promise((resolve) => refused.on('close', resolve))
  assert.equal(proxy.accepted, 0)
  proxy.resume()
  const socket = await dial(proxy)
  socket.write('c')
  assert.equal(await read(socket, 1), 'c')
})

test('while it holds nothing arrives and nothing ends; after resume all of it arrives once', async () => {
  const { proxy } = await echo()
  const socket = await dial(proxy)
  socket.write('before')
  assert.equal(await read(socket, 6), 'before')
  let early = ''
  /** @param {string} chunk */
  const listener = (chunk) => (early += chunk)
  socket.on('data', listener)
  proxy.hold()
  socket.write('during')
  await once(proxy, 'held')
  assert.equal(early, '')
  assert.equal(proxy.open, 1)
  socket.off('data', listener)
  proxy.resume()
  assert.equal(await read(socket, 6), 'during')
})

test('while it holds what is sent, what comes goes on coming', async () => {
  const peers = /** @type {net.Socket[]} */ ([])
  const server = net.createServer((socket) => {
    peers.push(socket)
    socket.on('data', () => socket.write('heard'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await Proxy.start(/** @type {net.AddressInfo} */ (server.address()).port)
  cleanups.push(() => server.close(), () => proxy.close())
  const socket = await dial(proxy)
  socket.write('x')
  assert.equal(await read(socket, 5), 'heard')
  proxy.hold('sent')
  const held = once(proxy, 'held')
  socket.write('y')
  await held
  peers[0]?.write('news')
  assert.equal(await read(socket, 4), 'news')
  proxy.resume()
  assert.equal(await read(socket, 5), 'heard')
})

test('a delay keeps the order and lasts at least as long as asked', async () => {
  const { proxy } = await echo()
  const socket = await dial(proxy)
  proxy.delay(30)
  const began = performance.now()
  socket.write('1')
  setImmediate(() => socket.write('2'))
  assert.equal(await read(socket, 2), '12')
  // Both directions; a timer of node may fire a millisecond early.
  assert.ok(performance.now() - began >= 58, `${performance.now() - began} ms`)
})

test('after a retarget new connections reach the other server', async () => {
  const first = await echo()
  const other = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.end('other')
  })
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  cleanups.push(() => other.close())
  first.proxy.retarget(/** @type {net.AddressInfo} */ (other.address()).port)
  assert.equal(await read(await dial(first.proxy), 5), 'other')
})

test('an unreachable server ends the connection of the page', async () => {
  const { proxy } = await echo()
  const gone = net.createServer()
  gone.listen(0, '127.0.0.1')
  await once(gone, 'listening')
  const { port } = /** @type {net.AddressInfo} */ (gone.address())
  gone.close()
  await once(gone, 'close')
  proxy.retarget(port)
  const socket = await dial(proxy)
  await once(socket, 'close')
})
