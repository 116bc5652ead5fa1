/**
 * The demo's server as a child process on a port of its own.
 * @module
 */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** How long a server may take until it accepts, and to end after SIGTERM. */
const PATIENCE_MS = 30_000
/** Kept of what the server logs, for the report of a failure. */
const LOG_LINES_MAX = 200

/**
 * What `cargo build` has made of it; for the demo perhaps `WINDLASS_DEMO`.
 * @param {string} name
 */
async function binary(name) {
  return (name === 'demo' && process.env.WINDLASS_DEMO) || built(name)
}

/**
 * Where cargo puts the program of a package in a debug build.
 * @param {string} program
 */
export async function built(program) {
  const { stdout } = await promisify(execFile)(
    process.env.CARGO ?? 'cargo',
    ['metadata', '--format-version', '1', '--no-deps', '--offline'],
    { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 },
  )
  return path.join(JSON.parse(stdout).target_directory, 'debug', program)
}

/** A server that accepts. */
export class Server {
  /** @type {string[]} */ #log = []
  #child

  /**
   * @param {string[]} [options] more options; without `--data` the demo keeps nothing
   * @param {string} [name] of another example that takes `--addr`
   */
  static async start(options = [], name = 'demo') {
    const program = await binary(name)
    const keeps = name !== 'demo' || options.includes('--data')
    const server = new Server(program, keeps ? options : ['--ephemeral', ...options])
    await server.#listening(program)
    return server
  }

  /**
   * @param {string} program
   * @param {string[]} options
   */
  constructor(program, options) {
    this.#child = spawn(program, ['--addr', '127.0.0.1:0', ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: output }).on('line', (line) => {
        this.#log.push(line)
        if (this.#log.length > LOG_LINES_MAX) this.#log.shift()
      })
    }
    /** `http://127.0.0.1:port` once it listens. */
    this.url = ''
  }

  get port() {
    return Number(new URL(this.url).port)
  }

  /** The last lines that it printed. */
  get log() {
    return this.#log.join('\n')
  }

  /** Ends it as an operator does, and returns its exit code. */
  async stop() {
    return this.#end('SIGTERM')
  }

  /** Ends it as a crash does. */
  async kill() {
    return this.#end('SIGKILL')
  }

  /** @param {string} program */
  async #listening(program) {
    const lines = createInterface({ input: this.#child.stdout })
    /** @type {Promise<string>} */
    const url = new Promise((resolve, reject) => {
      lines.on('line', (line) => {
        const match = /listening on (http:\/\/\S+)/.exec(line)
        if (match) resolve(match[1])
      })
      this.#child.on('error', (error) => reject(new Error(`${program}: ${error.message}; cargo build -p ${path.basename(program)}`)))
      this.#child.on('exit', (code) => reject(new Error(`${program} ended with ${code} before it listened\n${this.log}`)))
    })
    this.url = await within(url, () => `${program} does not listen\n${this.log}`)
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit')
      this.#child.kill(signal)
      try {
        await within(exit, () => `the server does not end on ${signal}\n${this.log}`)
      } finally {
        this.#child.kill('SIGKILL')
      }
    }
    return this.#child.exitCode
  }
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {() => string} complaint
 * @returns {Promise<T>}
 */
async function within(promise, complaint) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(complaint())), PATIENCE_MS)
  })
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)])
  } finally {
    clearTimeout(timer)
  }
}
