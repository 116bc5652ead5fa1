/**
 * The part of Playwright's locators that the tests use.
 * @module
 */

import { fill, find, select, target } from './inside.js'

/** @import { Step, Text } from './inside.js' */
/** @import { Page } from './page.js' */

/**
 * @param {string} selector CSS, perhaps ending in `:visible`, or beginning with `css:light=`
 * @returns {Step[]}
 */
export function parse(selector) {
  const light = selector.startsWith('css:light=')
  const css = selector.replace('css:light=', '')
  const visible = css.endsWith(':visible')
  return [{ css: css.replace(/:visible$/, ''), light, visible }]
}

/**
 * @param {string} role
 * @param {{ name?: string | RegExp, exact?: boolean }} [options]
 * @returns {Step[]}
 */
export function byRole(role, { name, exact } = {}) {
  return [{ role, name: name === undefined ? undefined : text(name, exact) }]
}

/** @param {string | RegExp} wanted @returns {Step[]} */
export function byText(wanted) {
  return [{ text: text(wanted) }]
}

/** @param {string | RegExp} wanted @returns {Text} */
function text(wanted, exact = false) {
  return wanted instanceof RegExp ? { source: wanted.source, flags: wanted.flags, exact } : { source: wanted, flags: 'text', exact }
}

/** @typedef {{ has?: Locator, hasText?: string | RegExp, visible?: boolean }} Filter */
/** @typedef {{ timeout?: number }} Patience */

export class Locator {
  #page
  steps

  /**
   * @param {Page} page
   * @param {Step[]} steps
   */
  constructor(page, steps) {
    this.#page = page
    this.steps = steps
  }

  /**
   * @param {string} selector
   * @param {Filter} [filter]
   */
  locator(selector, filter) {
    const found = this.#with(parse(selector))
    return filter ? found.filter(filter) : found
  }

  /** @param {Filter} filter */
  filter({ has, hasText, visible }) {
    return this.#with([{ has: has?.steps, hasText: hasText === undefined ? undefined : text(hasText), visible }])
  }

  /** @param {number} nth */
  nth(nth) {
    return this.#with([{ nth }])
  }

  first() {
    return this.nth(0)
  }

  last() {
    return this.nth(-1)
  }

  /** @param {string} role @param {{ name?: string | RegExp, exact?: boolean }} [options] */
  getByRole(role, options) {
    return this.#with(byRole(role, options))
  }

  /** @param {string | RegExp} wanted */
  getByText(wanted) {
    return this.#with(byText(wanted))
  }

  count() {
    return this.#all('(elements) => elements.length')
  }

  /** @returns {Promise<string[]>} */
  allTextContents() {
    return this.#all('(elements) => elements.map((element) => element.textContent)')
  }

  /**
   * @template [A=unknown]
   * @template [R=unknown]
   * @param {(elements: Element[], argument: A) => R} body
   * @param {A} [argument]
   * @returns {Promise<R>}
   */
  evaluateAll(body, argument) {
    return this.#all(`(elements, _, argument) => (${body})(elements, argument)`, argument)
  }

  /**
   * @template [A=unknown]
   * @template [R=unknown]
   * @param {(element: Element, argument: A) => R} body
   * @param {A} [argument]
   * @returns {Promise<R>}
   */
  evaluate(body, argument) {
    return this.#one(`(element, _, argument) => (${body})(element, argument)`, argument)
  }

  textContent() {
    return this.#one('(element) => element.textContent')
  }

  innerText() {
    return this.#one('(element) => element.innerText')
  }

  inputValue() {
    return this.#one('(element) => element.value')
  }

  /** @param {string} name */
  getAttribute(name) {
    return this.#one('(element, _, name) => element.getAttribute(name)', name)
  }

  isChecked() {
    return this.#one('(element) => element.checked')
  }

  isDisabled() {
    return this.#one("(element) => element.matches(':disabled')")
  }

  async isVisible() {
    return (await this.#all('(elements, { isVisible }) => elements.filter(isVisible).length')) > 0
  }

  async focus() {
    await this.#one('(element) => void element.focus()')
  }

  /** @param {Patience} [patience] */
  async click(patience) {
    await this.#point(1, patience)
  }

  async dblclick() {
    await this.#point(2)
  }

  async hover() {
    await this.#point(0)
  }

  /** @param {string} value */
  async fill(value) {
    await this.#patiently(`(element, _, value) => (${fill})(element, value) || undefined`, value)
  }

  /** @param {string} key */
  async press(key) {
    await this.focus()
    await this.#page.keyboard.press(key)
  }

  /**
   * @param {string} letters
   * @param {{ delay?: number }} [options]
   */
  async pressSequentially(letters, options) {
    // The caret is at the end, where Playwright's is.
    await this.#one('(element) => { element.focus(); const end = element.value?.length ?? 0; element.setSelectionRange?.(end, end) }')
    await this.#page.keyboard.type(letters, options)
  }

  async check() {
    await this.setChecked(true)
  }

  async uncheck() {
    await this.setChecked(false)
  }

  /** @param {boolean} checked */
  async setChecked(checked) {
    if ((await this.isChecked()) !== checked) await this.click()
  }

  /** @param {string | string[]} values */
  async selectOption(values) {
    await this.#patiently(`(element, _, values) => (${select})(element, values) || undefined`, [values].flat())
  }

  /** @param {Patience & { state?: 'visible' | 'hidden' | 'attached' | 'detached' }} [options] */
  async waitFor({ state = 'visible', timeout } = {}) {
    const source = {
      visible: '(elements, { isVisible }) => elements.length > 0 && isVisible(elements[0])',
      hidden: '(elements, { isVisible }) => !elements.some(isVisible)',
      attached: '(elements) => elements.length > 0',
      detached: '(elements) => elements.length === 0',
    }[state]
    await this.#page.until(async () => ((await this.#all(source)) ? true : undefined), `${this} ${state}`, timeout)
  }

  toString() {
    return JSON.stringify(this.steps)
  }

  /** @param {Step[]} steps */
  #with(steps) {
    return new Locator(this.#page, [...this.steps, ...steps])
  }

  /**
   * @param {string} body of (elements, tools, argument)
   * @param {unknown} [argument]
   */
  #all(body, argument) {
    const source = `(json) => {
      const { steps, argument } = JSON.parse(json)
      const tools = (${find})(steps)
      return (${body})(tools.elements, tools, argument)
    }`
    return this.#page.run(source, { steps: this.steps, argument })
  }

  /**
   * The same of the one element there is, as soon as there is one.
   * @param {string} body of (element, tools, argument)
   * @param {unknown} [argument]
   */
  async #one(body, argument) {
    const [value] = await this.#patiently(`(element, tools, argument) => [(${body})(element, tools, argument)]`, argument)
    return value
  }

  /**
   * @param {string} body undefined: not yet
   * @param {unknown} [argument]
   * @param {Patience} [patience]
   */
  #patiently(body, argument, { timeout } = {}) {
    const source = `(elements, tools, argument) => {
      if (elements.length > 1) throw new Error(elements.length + ' elements are there, and one is meant')
      return elements.length === 1 ? (${body})(elements[0], tools, argument) : undefined
    }`
    return this.#page.until(() => this.#all(source, argument), `one that is ready: ${this}`, timeout)
  }

  /**
   * @param {number} clicks
   * @param {Patience} [patience]
   */
  async #point(clicks, patience) {
    let why = ''
    const body = `async (element, tools) => (${target})(element, tools)`
    const at = () => this.#page.until(async () => {
      const found = await this.#patiently(body, undefined, patience)
      why = found.why ?? ''
      return found.why ? undefined : found
    }, `${this} can be clicked`, patience?.timeout)
    await this.#page.point(await at().catch((error) => Promise.reject(new Error(`${error.message}: ${why}`))), clicks)
  }
}
