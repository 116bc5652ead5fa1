/**
 * docs/guide, its second half: styling, scripts, libraries.
 * @module
 */

import { run } from './guide-run.js'

run(/(0[6-9]|1\d)-/)
