/**
 * docs/guide, its first half, and that no listing of it is run by nothing.
 * @module
 */

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

import { FOLDER, guide, read } from './guide.js'
import { run } from './guide-run.js'
import { test } from './harness.js'

const { pages, tests, complaints } = guide()

test('docs/guide: every listing is run by something', () => {
  assert.ok(pages.length > 0 && tests.length > 0)
  assert.deepEqual(complaints, [])
})

test('docs/guide: a listing that nothing runs is found', () => {
  const whole = '```rust app=a\n```\n```html page=a\n```\n<!-- test page=a\nx\n-->\n'
  assert.deepEqual(read([['a.md', whole]]).complaints, [])
  for (const [text, complaint] of [
    [whole.replace(/<!--[^]*/, ''), 'no test is page=a'],
    [whole.replace('page=a\n```', '\n```'), 'names no page'],
    [whole.replace('```rust app=a', '```rust app=b'), 'no rust is app=a'],
    [`${whole}\`\`\`js\nx\n\`\`\`\n`, 'names no page'],
    [`${whole}\`\`\`perl page=a\nx\n\`\`\`\n`, 'nothing runs perl'],
    [`${whole}\`\`\`nginx file=nginx.conf\nanother\n\`\`\`\n`, 'differs from'],
    [`${whole} \`\`\`html page=b\n \`\`\`\n`, '3 listings begin and 2 were read'],
  ]) assert.ok(read([['a.md', text]]).complaints.join().includes(complaint), complaint)
})

test('docs/guide: its pages lead to each other, and the index to all of them', async () => {
  const files = (await readdir(FOLDER)).filter((file) => file.endsWith('.md'))
  const index = await readFile(`${FOLDER}README.md`, 'utf8')
  for (const file of files) {
    if (file !== 'README.md') assert.ok(index.includes(`](${file})`), `docs/guide/README.md does not name ${file}`)
    const text = await readFile(FOLDER + file, 'utf8')
    for (const [, to] of text.matchAll(/\]\(([^):#]+)(?:#[^)]*)?\)/g)) {
      await readFile(path.join(FOLDER, to)).catch((error) => assert.equal(error.code, 'EISDIR', `${file} leads to ${to}`))
    }
  }
})

test('docs/guide: its first listing is the page that its main is compiled with', async () => {
  const page = await readFile(new URL('../guide/page/index.html', import.meta.url), 'utf8')
  assert.equal(page, pages.find(({ name }) => name === 'counter')?.html)
})

run(/0[1-5]-/)
