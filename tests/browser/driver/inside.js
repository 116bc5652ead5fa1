/**
 * What is done within a page: these functions are sent there as text, so each stands for itself.
 * @module
 */

/**
 * How an element is found: each step looks in what the one before has found.
 * @typedef {object} Step
 * @property {string} [css]
 * @property {boolean} [light] not in shadow roots
 * @property {string} [role]
 * @property {Text} [name] of the role
 * @property {Text} [text] of the smallest element that has it
 * @property {Text} [hasText] keeps those with this text in them
 * @property {Step[]} [has] keeps those with this in them
 * @property {boolean} [visible] keeps those that are seen
 * @property {number} [nth] keeps this one, from the end when it is negative
 */
/** @typedef {{ source: string, flags: string, exact: boolean }} Text a regular expression, or a text without flags */

/** Keeps what the page complains of; and is how a document is known to be watched. */
export function watch() {
  const { console } = window
  /** @type {{ kind: string, text: string }[]} */
  const complaints = []
  // Bounded by the test's length; the page is gone after it.
  Object.assign(window, { complaints })
  addEventListener('error', ({ error, message }) => complaints.push({ kind: 'thrown', text: `${error?.stack ?? message}` }))
  addEventListener('unhandledrejection', ({ reason }) => complaints.push({ kind: 'thrown', text: `${reason?.stack ?? reason}` }))
  const log = console.error
  console.error = (...texts) => {
    complaints.push({ kind: 'logged', text: texts.join(' ') })
    log.apply(console, texts)
  }
  addEventListener('securitypolicyviolation', (event) => {
    console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`)
  })
}

/**
 * The elements that steps lead to, and what has to be known of them.
 * @param {Step[]} steps
 */
export function find(steps) {
  const roles = /** @type {Record<string, string>} */ ({
    button: 'button, input[type=button], input[type=submit], summary, [role=button]',
    link: 'a[href], [role=link]',
    progressbar: 'progress, [role=progressbar]',
    checkbox: 'input[type=checkbox], [role=checkbox]',
    textbox: 'input:not([type]), input[type=text], input[type=search], textarea, [role=textbox]',
  })
  /** @param {Node} root @returns {Generator<Element>} */
  function* below(root) {
    for (const element of /** @type {ParentNode} */ (root).children ?? []) {
      yield element
      yield* below(element)
    }
    if (root instanceof Element && root.shadowRoot) yield* below(root.shadowRoot)
  }
  /** @param {Node} node @returns {string} */
  const textOf = (node) => (node instanceof Element && node.shadowRoot ? textOf(node.shadowRoot) : '')
    + [...node.childNodes].map((child) => (child.nodeType === Node.TEXT_NODE ? child.nodeValue : child instanceof Element ? textOf(child) : '')).join('')
  /** @param {string} text @param {Text} wanted */
  const fits = (text, { source, flags, exact }) => {
    const plain = text.replace(/\s+/g, ' ').trim()
    if (flags !== 'text') return new RegExp(source, flags).test(plain)
    return exact ? plain === source : plain.toLowerCase().includes(source.toLowerCase())
  }
  /** @param {Element} element */
  const isVisible = (element) => {
    const { width, height } = element.getBoundingClientRect()
    return width > 0 && height > 0 && element.checkVisibility({ visibilityProperty: true })
  }
  /** @param {Element} element */
  const nameOf = (element) => {
    const { labels, value, type } = /** @type {HTMLInputElement} */ (element)
    const label = element.getAttribute('aria-label') ?? [...(labels ?? [])].map((label) => textOf(label)).join(' ')
    return label || (type === 'submit' || type === 'button' ? textOf(element) || value : textOf(element))
  }
  /** @param {Element} element */
  const isText = (element) => !/^(SCRIPT|STYLE|TEMPLATE|HEAD|TITLE)$/.test(element.tagName)
  /** @type {(steps: Step[], from: Node) => Element[]} */
  const follow = (steps, from) => {
    let found = /** @type {Node[]} */ ([from])
    for (const step of steps) {
      if (step.css !== undefined) {
        const { css, light } = step
        found = found.flatMap((root) =>
          light ? [.../** @type {ParentNode} */ (root).querySelectorAll(css)] : [...below(root)].filter((element) => element.matches(css)))
      } else if (step.role !== undefined) {
        const { role, name } = step
        const css = roles[role] ?? `[role=${role}]`
        found = found.flatMap((root) => [...below(root)].filter((element) =>
          element.matches(css) && isVisible(element) && (!name || fits(nameOf(element), name))))
      } else if (step.text !== undefined) {
        const { text } = step
        const has = (/** @type {Element} */ element) => isText(element) && fits(textOf(element), text)
        found = found.flatMap((root) => [...(root instanceof Element ? [root] : []), ...below(root)].filter((element) =>
          has(element) && ![...element.children, ...(element.shadowRoot?.children ?? [])].some(has)))
      }
      let kept = [...new Set(/** @type {Element[]} */ (found))]
      const { hasText, has, nth } = step
      if (hasText) kept = kept.filter((element) => fits(textOf(element), hasText))
      if (has) kept = kept.filter((element) => follow(has, element).length > 0)
      if (step.visible) kept = kept.filter(isVisible)
      if (nth !== undefined) kept = [kept.at(nth)].filter((element) => element !== undefined)
      found = kept
    }
    return /** @type {Element[]} */ (found)
  }
  return { elements: follow(steps, document), isVisible }
}

/**
 * Whether an element can be clicked, and where. What moves is waited for.
 * @param {Element} element
 * @param {{ isVisible: (element: Element) => boolean }} tools
 */
export async function target(element, { isVisible }) {
  if (!isVisible(element)) return { why: 'it is not visible' }
  if (element.matches(':disabled')) return { why: 'it is disabled' }
  element.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' })
  const before = element.getBoundingClientRect()
  for (let frames = 0; frames < 2; frames++) await new Promise((resolve) => requestAnimationFrame(resolve))
  const box = element.getBoundingClientRect()
  if (box.left !== before.left || box.top !== before.top) return { why: 'it moves' }
  const [x, y] = [Math.floor(box.left + box.width / 2), Math.floor(box.top + box.height / 2)]
  let hit = document.elementFromPoint(x, y)
  while (hit?.shadowRoot) {
    const deeper = hit.shadowRoot.elementFromPoint(x, y)
    if (!deeper || deeper === hit) break
    hit = deeper
  }
  for (let at = /** @type {Node | null} */ (hit); at; at = at instanceof ShadowRoot ? at.host : at.parentNode) {
    if (at === element || (at instanceof HTMLLabelElement && at.control === element)) return { x, y }
  }
  return { why: `${hit?.outerHTML.slice(0, 120)} is over it` }
}

/**
 * What a person's typing over what is there does, at once.
 * @param {Element} element
 * @param {string} value
 */
export function fill(element, value) {
  const control = /** @type {HTMLInputElement} */ (element)
  if (control.matches(':disabled') || control.readOnly) return false
  control.focus()
  if (/^(date|time|datetime-local|month|week|range|color)$/.test(control.type)) {
    control.value = value
    for (const type of ['input', 'change']) control.dispatchEvent(new Event(type, { bubbles: true }))
    return true
  }
  control.select()
  if (value === '') {
    if (control.value !== '') document.execCommand('delete')
  } else {
    document.execCommand('insertText', false, value)
  }
  return true
}

/**
 * @param {Element} element
 * @param {string[]} values
 */
export function select(element, values) {
  const control = /** @type {HTMLSelectElement} */ (element)
  const wanted = [...control.options].filter(({ value, label }) => values.includes(value) || values.includes(label))
  if (control.disabled || wanted.length < values.length) return false
  for (const option of control.options) option.selected = wanted.includes(option)
  for (const type of ['input', 'change']) control.dispatchEvent(new Event(type, { bubbles: true }))
  return true
}
