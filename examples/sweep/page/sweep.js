/**
 * Moves the focus through the heat map with the arrow keys, Home and End. What a cell does is bound in the page.
 * @module
 */

const COLUMNS = 20

const map = document.querySelector('#map')

map?.addEventListener('keydown', (event) => {
  const { key, target } = /** @type {KeyboardEvent} */ (event)
  const cells = [...map.querySelectorAll('button')]
  const at = cells.indexOf(/** @type {HTMLButtonElement} */ (target))
  const row = at - at % COLUMNS
  /** @type {{ [key: string]: number }} */
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - COLUMNS, ArrowDown: at + COLUMNS, Home: row, End: row + COLUMNS - 1 }
  const next = cells[to[key] ?? -1]
  if (at < 0 || !next) return
  event.preventDefault()
  next.focus()
})
