/**
 * `npm run build`: writes `dist`.
 *
 * @module
 */

import { bundle, ENTRIES } from "./bundle.js";

await bundle(ENTRIES, true);
