/**
 * Keys as WebDriver spells them: private code points of its own, https://www.w3.org/TR/webdriver2/#keyboard-actions.
 * @module
 */

/** @type {Record<string, string>} */
const KEYS = {
  Backspace: '\uE003', Tab: '\uE004', Enter: '\uE007', Shift: '\uE008', Control: '\uE009', Alt: '\uE00A', Escape: '\uE00C', Space: ' ',
  PageUp: '\uE00E', PageDown: '\uE00F', End: '\uE010', Home: '\uE011', ArrowLeft: '\uE012', ArrowUp: '\uE013', ArrowRight: '\uE014',
  ArrowDown: '\uE015', Insert: '\uE016', Delete: '\uE017', Meta: '\uE03D',
}

/**
 * Down and up of one key, or of several that are held: `Shift+Tab`.
 * @param {string} chord
 */
export function strokes(chord) {
  const names = chord.length === 1 ? [chord] : chord.split('+')
  const values = names.map((name, at) => {
    const value = KEYS[name] ?? name
    if ([...value].length !== 1) throw new Error(`no key is called ${name}`)
    // With a modifier a letter is its key, and the modifier says the rest.
    return at > 0 && at === names.length - 1 ? value.toLowerCase() : value
  })
  return [
    ...values.map((value) => ({ type: 'keyDown', value })),
    ...values.toReversed().map((value) => ({ type: 'keyUp', value })),
  ]
}
