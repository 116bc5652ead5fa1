/**
 * Keeps the end of the chat in sight while it grows, unless the reader has scrolled up.
 * @module
 */

const scroller = document.querySelector('#scroller')
const messages = document.querySelector('#messages')
let follows = true

scroller.addEventListener('scroll', () => {
  follows = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40
})
new ResizeObserver(() => {
  if (follows) scroller.scrollTop = scroller.scrollHeight
}).observe(messages)
