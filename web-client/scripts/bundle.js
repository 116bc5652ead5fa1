/**
 * How the bundle is made, for `npm run build`, for `npm run sizes` and for the tests, which must not drift apart.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

export const FOLDER = fileURLToPath(new URL("..", import.meta.url));

/** The files of `dist`: what a page loads, and the parts that are loaded when they are used. */
export const ENTRIES = {
  windlass: "src/auto.js",
  notices: "src/notices.js",
  "more-formats": "src/more-formats.js",
  "job-card": "src/job-card.js",
  messages: "src/messages.js",
  forms: "src/forms.js",
  model: "src/model.js",
  devtools: "src/devtools.js",
};

/**
 * @param {{ [name: string]: string } | string[]} entryPoints
 * @param {boolean} [write]
 * @returns {Promise<import("esbuild").BuildResult & { outputFiles: import("esbuild").OutputFile[] }>}
 */
export function bundle(entryPoints, write = false) {
  return build({
    absWorkingDir: FOLDER,
    entryPoints,
    outdir: "dist",
    bundle: true,
    minify: true,
    sourcemap: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    plugins: [styles, parts],
    write,
  });
}

/** What is loaded when it is used is a file of its own, which the bundle asks for beside itself. */
const parts = {
  name: "parts",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\// }, ({ kind, path }) => (kind === "dynamic-import" ? { path, external: true } : undefined));
  },
};

/** Sheets in the sources are for reading; in the bundle they have no blanks, and as many lines after as before. */
const styles = {
  name: "styles",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.+\.js$/ }, async ({ path }) => {
      let contents = readFileSync(path, "utf8");
      for (const [whole, rules] of contents.matchAll(/\/\* css \*\/ `([^`]*)`/g)) {
        const { code } = await transform(rules, { loader: "css", minify: true });
        contents = contents.replace(whole, () => `\`${code.trim()}\`${"\n".repeat(rules.split("\n").length - 1)}`);
      }
      return { contents };
    });
  },
};
