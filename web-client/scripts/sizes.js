/**
 * `npm run sizes`: what each entry weighs, minified and compressed, and what each module has of that.
 *
 * A module's share is what the entry is smaller without its bytes: text that is like other text costs little.
 *
 * @module
 */

import { gzipSync } from "node:zlib";

import { bundle, ENTRIES } from "./bundle.js";

const zipped = (/** @type {string | Uint8Array} */ script) => gzipSync(script, { level: 9 }).length;

for (const entry of ["src/session.js", ...Object.values(ENTRIES)]) {
  const { outputFiles, metafile } = await bundle([entry]);
  const [name, { inputs }] = Object.entries(metafile.outputs).find(([path]) => path.endsWith(".js")) ?? [];
  const script = outputFiles.find(({ path }) => path.endsWith(name)).text;
  const whole = zipped(script);
  console.log(`${entry}: ${script.length} minified, ${whole} compressed`);
  const sizes = Object.entries(inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput]);
  if (sizes.length === 1) continue;
  // The bundler puts the modules one after the other, in this order.
  let at = 0;
  const lines = sizes.map(([path, bytes]) => {
    const without = script.slice(0, at) + script.slice(at + bytes);
    at += bytes;
    return { path, bytes, share: whole - zipped(without) };
  });
  for (const { path, bytes, share } of lines.sort((a, b) => b.share - a.share)) {
    console.log(`  ${path.padEnd(24)} ${String(bytes).padStart(6)} ${String(share).padStart(6)}`);
  }
}
