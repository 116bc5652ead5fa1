/**
 * The engines that the tests run in, and the tests that only Chromium can run, with the reason.
 *
 * Chromium is driven by Playwright. Firefox and WebKit are Debian's, by `driver/`: `WINDLASS_ENGINE=firefox`.
 * @module
 */

import { firefox } from './driver/firefox.js'
import { webkit } from './driver/webkit.js'

const programs = { firefox: process.env.FIREFOX ?? '/usr/bin/firefox-esr', webkit: process.env.MINIBROWSER ?? '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser' }

/** `chromium`, `firefox` or `webkit`. */
export const ENGINE = process.env.WINDLASS_ENGINE ?? 'chromium'

/** The engine that Playwright does not drive. */
export function other() {
  if (ENGINE === 'firefox') return firefox(programs.firefox)
  if (ENGINE === 'webkit') return webkit(programs.webkit)
  throw new Error(`WINDLASS_ENGINE is ${ENGINE}; it is chromium, firefox or webkit`)
}

const HARNESS = "it is about Playwright's own pages"
const GUIDE = 'what the guide shows is tested by itself in each engine'
const HEAP = 'only its debugger collects and measures the heap'
const LOOK = 'only it can be told a colour scheme'
const PANEL = 'only Playwright sees requests, takes downloads, and finds by role what is in a shadow root'

/** Files, or titles of tests. @type {Map<string, string>} */
export const CHROMIUM_ONLY = new Map([
  ['harness.test.js', HARNESS],
  ['guide.test.js', GUIDE],
  ['guide-more.test.js', GUIDE],
  ['frozen.test.js', 'only Playwright tells which process runs a page, and changes frames'],
  ['background.test.js', 'only it can be told to let a page behind another one sleep'],
  ['look.test.js', LOOK],
  ['parts.test.js', 'only Playwright holds requests back'],
  ['devtools.test.js', PANEL],
  ['devtools_replay.test.js', PANEL],
  ['after ten thousand changes of a list the heap is what it was', HEAP],
  ['elements that another script adds and takes out leave nothing behind', HEAP],
  // Their pages that had a socket are loaded again; both go on with all that they had, see `tabs.test.js`.
  ['[RESUME-1] a page that was left and is returned to is the same page, and goes on', 'only it keeps pages that had a socket'],
  ['a composition of an input method is not disturbed by what arrives, and is written when it ends', 'only its debugger composes'],
  ['[RESUME-1] a page that was frozen while its connection died goes on without a reload', 'only its debugger freezes pages'],
])
