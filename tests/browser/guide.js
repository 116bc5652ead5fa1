/**
 * The pages of docs/guide taken apart: what is served, by which app, and what a test does with it.
 *
 * A listing says in its info string what it is part of, and a listing that nothing runs is a complaint:
 *
 *     ```rust app=todos            compiled, with all others of that name, by tests/guide; has a function `app`
 *     ```html page=todos           a page of that app, or of another: `page=empty app=todos`; whole, or what is in the body
 *     ```css page=todos            its style sheet       ```js page=todos      its own script
 *     ```jsx page=todos            a script that is bundled; ``mjs` and `svelte` too; `file=` names it
 *     <!-- test page=todos         steps in JavaScript, run in a page that was just opened; none of it is shown
 *     ```nginx file=nginx.conf     is word for word that file of tests/nginx, which `cargo xtask nginx` runs
 *     ```sh command                a line for a shell, tested by what the command itself is tested by
 *
 * @module
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** @typedef {{ text: string, kind: string, file: string, at: string }} Bundle */
/** @typedef {{ name: string, app: string, at: string, html: string, css: string, js: string, bundles: Bundle[] }} GuidePage */
/** @typedef {{ page: string, at: string, body: string }} GuideTest */

export const FOLDER = fileURLToPath(new URL('../../docs/guide/', import.meta.url))
const CONFIGS = fileURLToPath(new URL('../nginx/', import.meta.url))
const BUNDLED = new Set(['jsx', 'mjs', 'svelte'])
/** A fenced block, or a comment that is a test. */
const BLOCK = /^```(\w+)(?: (.*))?\n([^]*?)^```$|^<!-- test (.*)\n([^]*?)^-->$/gm

/**
 * What is in the texts.
 * @param {[file: string, text: string][]} texts
 */
export function read(texts) {
  const pages = /** @type {Map<string, GuidePage>} */ (new Map())
  const tests = /** @type {GuideTest[]} */ ([])
  const bundles = /** @type {Map<string, Bundle[]>} */ (new Map())
  const apps = /** @type {Set<string>} */ (new Set())
  const complaints = /** @type {string[]} */ ([])
  for (const [file, text] of texts) {
    const fences = text.match(/^ *```\w.*$/gm) ?? []
    let found = 0
    for (const match of text.matchAll(BLOCK)) {
      const [, kind, info = '', body, of, steps] = match
      const line = text.slice(0, match.index).split('\n').length
      const at = `docs/guide/${file}:${line}`
      if (!kind) {
        tests.push({ page: words(of).page, at, body: steps })
        continue
      }
      found += 1
      const said = words(info)
      if (kind === 'rust') apps.add(said.app)
      else if (kind === 'sh' && info === 'command') continue
      else if (kind === 'nginx' && said.file) {
        const file = CONFIGS + said.file
        if (!existsSync(file) || readFileSync(file, 'utf8') !== body) complaints.push(`${at}: differs from tests/nginx/${said.file}`)
      } else if (!said.page) complaints.push(`${at}: a listing of ${kind} that names no page is run by nothing`)
      else if (kind === 'html') {
        if (pages.has(said.page)) complaints.push(`${at}: there is a page=${said.page} already`)
        pages.set(said.page, { name: said.page, app: said.app ?? said.page, at, html: body, css: '', js: '', bundles: bundles.get(said.page) ?? [] })
      } else {
        const page = pages.get(said.page)
        if (BUNDLED.has(kind)) {
          // It may stand before its page, which is why it is kept by name.
          const list = page?.bundles ?? bundles.get(said.page) ?? []
          list.push({ text: body, kind, file: said.file ?? 'page.js', at })
          bundles.set(said.page, list)
        } else if (!page) complaints.push(`${at}: no html before it is page=${said.page}`)
        else if (kind === 'css') page.css += body
        else if (kind === 'js') page.js += body
        else complaints.push(`${at}: nothing runs ${kind}`)
      }
    }
    if (found !== fences.length) complaints.push(`docs/guide/${file}: ${fences.length} listings begin and ${found} were read`)
  }
  for (const { name, app, at } of pages.values()) {
    if (!apps.has(app)) complaints.push(`${at}: no rust is app=${app}`)
    if (!tests.some(({ page }) => page === name)) complaints.push(`${at}: no test is page=${name}`)
  }
  for (const name of bundles.keys()) if (!pages.has(name)) complaints.push(`no html is page=${name}, which has a bundle`)
  for (const { page, at } of tests) if (!pages.has(page)) complaints.push(`${at}: no html is page=${page}`)
  const served = new Set([...pages.values()].map(({ app }) => app))
  for (const app of apps) if (!served.has(app)) complaints.push(`no page is shown by app=${app}`)
  return { pages: [...pages.values()], tests, complaints }
}

/** All of docs/guide. */
export function guide() {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.md')).sort()
  return read(files.map((file) => [file, readFileSync(FOLDER + file, 'utf8')]))
}

/**
 * Puts the files of a page into a folder of its own.
 * @param {GuidePage} page
 * @param {string} folder
 * @param {(bundle: Bundle, file: string) => Promise<void>} bundle
 */
export async function write(page, folder, bundle) {
  const to = path.join(folder, page.name)
  await mkdir(to, { recursive: true })
  await writeFile(path.join(to, 'index.html'), /^<!doctype/i.test(page.html) ? page.html : whole(page))
  if (page.css) await writeFile(path.join(to, 'style.css'), page.css)
  if (page.js) await writeFile(path.join(to, 'page.js'), page.js)
  for (const one of page.bundles) await bundle(one, path.join(to, one.file))
}

/** @param {GuidePage} page */
function whole({ name, html, css, js }) {
  const head = [
    css && '<link rel="stylesheet" href="style.css">',
    '<script type="module" src="/windlass/windlass.js"></script>',
    js && '<script type="module" src="page.js"></script>',
  ]
  return `<!doctype html>\n<html lang="en">\n<title>${name}</title>\n${head.filter(Boolean).join('\n')}\n<body w-cloak>\n${html}</body>\n`
}

/** @param {string} info */
function words(info) {
  return Object.fromEntries(info.trim().split(/\s+/).map((word) => word.split('=', 2)))
}
