/**
 * What somebody with a bundler does to the listings of docs/guide that need one: esbuild, with the packages of web-client.
 * @module
 */

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** @import { Bundle } from './guide.js' */

const CLIENT = fileURLToPath(new URL('../../web-client/', import.meta.url))
const require = createRequire(path.join(CLIENT, 'package.json'))

/**
 * @param {Bundle} bundle
 * @param {string} file where it goes
 * @param {'browser' | 'node'} [platform] where it is to run
 */
export async function bundle({ at, kind, text: source }, file, platform = 'browser') {
  const { build } = require('esbuild')
  const text = kind === 'svelte' ? svelte(source) : source
  try {
    await build({
      stdin: { contents: text, loader: 'jsx', resolveDir: CLIENT, sourcefile: at },
      bundle: true,
      outfile: file,
      platform,
      format: platform === 'node' ? 'cjs' : 'esm',
      target: 'es2022',
      // `windlass` and `windlass/react` are found by the package's own name, as in an app that has installed it.
      conditions: kind === 'svelte' ? ['svelte', 'browser'] : [],
      define: { 'process.env.NODE_ENV': '"production"' },
      jsx: 'automatic',
      logLevel: 'silent',
    })
  } catch (error) {
    throw new Error(`${at}: ${error}`, { cause: error })
  }
}

/**
 * A component and the line that mounts it.
 * @param {string} source
 */
function svelte(source) {
  const { compile } = require('svelte/compiler')
  const { code } = compile(source, { generate: 'client', css: 'injected', name: 'Page' }).js
  return `import { mount } from 'svelte'\n${code.replace('export default ', '')}\nmount(Page, { target: document.querySelector('main') })\n`
}

/**
 * What a listing prints where there is no browser.
 * @param {Bundle} one
 * @param {string} folder for what is made on the way
 */
export async function renderedOnServer(one, folder) {
  const file = path.join(folder, 'server.cjs')
  await bundle(one, file, 'node')
  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 })
  return stdout.trim()
}
