/**
 * The npm package as its users get it: what is packed, what each entry brings, what a compiler says of right and wrong use.
 *
 * @module
 */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const FOLDER = fileURLToPath(new URL("..", import.meta.url));
const CLIENT = join("node_modules", "windlass");

/** A project that has installed the package. */
let project;
/** @type {string[]} */
let packed;

before(() => {
  project = mkdtempSync(join(tmpdir(), "windlass-package-"));
  // Packed in a copy: `prepack` writes, and other tests read the folder at the same time.
  const copy = join(project, "copy");
  cpSync(FOLDER, copy, { recursive: true, filter: (path) => !path.slice(FOLDER.length).startsWith("node_modules") });
  symlinkSync(join(FOLDER, "node_modules"), join(copy, "node_modules"));
  const run = (command, ...rest) => execFileSync(command, rest, { cwd: copy, stdio: ["ignore", "pipe", "ignore"] });
  const [{ filename, files }] = JSON.parse(jsonOf(run("npm", "pack", "--json").toString()));
  packed = files.map(({ path }) => path);
  mkdirSync(join(project, CLIENT), { recursive: true });
  run("tar", "-xf", filename, "-C", join(project, CLIENT), "--strip-components=1");
  for (const name of ["react", "react-dom", "@types", "csstype"]) {
    symlinkSync(join(FOLDER, "node_modules", name), join(project, "node_modules", name));
  }
  writeFileSync(join(project, "package.json"), '{"type": "module"}');
});

after(() => rmSync(project, { recursive: true }));

test("the package holds the modules, their types, the bundle and nothing else", () => {
  const folders = new Set(packed.map((path) => path.split("/")[0]));
  assert.deepEqual([...folders].sort(), ["README.md", "dist", "package.json", "src", "types"]);
  const names = (folder, ending) =>
    packed.filter((path) => path.startsWith(`${folder}/`)).map((path) => path.slice(folder.length, path.length - ending.length)).sort();
  assert.deepEqual(names("types", ".d.ts"), names("src", ".js"), "each module has its types");
  const bundles = ["/forms.js", "/job-card.js", "/messages.js", "/model.js", "/more-formats.js", "/windlass.js"];
  assert.deepEqual(names("dist", ""), bundles.flatMap((name) => [name, `${name}.map`]));
});

test("each entry of the exports map can be imported where there is no window, and has its types", async () => {
  const entries = ["windlass", "windlass/auto", "windlass/react", "windlass/svelte", "windlass/signals"];
  const script = entries.map((entry) => `console.log(Object.keys(await import("${entry}")).sort().join());`);
  const { stdout, stderr } = node(script.slice(0, 1).concat(script.slice(2)).join("\n"));
  assert.equal(stderr, "");
  assert.deepEqual(stdout.trim().split("\n"), [
    "PatchError,Session,WindlassError,apply,bar,bind,connect,formats,labels,toasts",
    "WindlassProvider,useAction,useApp,useConnection,useEvent,useJobs,useWindlass",
    "connection,field,jobs,state",
    "follow,toSignal",
  ]);
  assert.equal(tsc(entries.map((entry, at) => `import * as e${at} from "${entry}"; e${at};`).join("\n")), "");
});

/** What a bundler makes of a script, minified. */
async function bundled(script, external = []) {
  const { outputFiles } = await build({
    absWorkingDir: project,
    stdin: { contents: script, resolveDir: project },
    bundle: true, minify: true, format: "esm", target: "es2022", write: false, external, logLevel: "error",
  });
  return outputFiles[0];
}

test("a bundler leaves out what is not used: the session alone has no bindings, an adapter no second session", async () => {
  const { text, contents } = await bundled('import { connect } from "windlass"; connect();');
  assert.doesNotMatch(text, /w-each|attachShadow/);
  const whole = gzipSync((await bundled('export * from "windlass";')).contents).length;
  assert.ok(gzipSync(contents).length < whole / 2, "less than half of all");
  for (const [entry, budget] of [["react", 1_300], ["svelte", 800], ["signals", 400]]) {
    const alone = await bundled('export * from "windlass";');
    const both = await bundled(`export * from "windlass"; export * as more from "windlass/${entry}";`, ["react"]);
    const more = gzipSync(both.contents).length - gzipSync(alone.contents).length;
    assert.ok(more <= budget, `windlass/${entry} adds ${more} bytes`);
  }
  const { text: nothing } = await bundled('import "windlass"; import "windlass/react";', ["react"]);
  assert.equal(nothing.replace(/import"react";?/, "").trim(), "", "no module does anything by being imported");
});

const TYPED = `
  import { connect } from "windlass";
  import { useAction, useWindlass } from "windlass/react";
  type State = { count: number, todos: { id: number, title: string }[] };
  type Actions = { add: number, clear: null, rename: { id: number, title: string } };
  const app = connect<State, Actions>();
`;

test("a compiler takes the right names and payloads", () => {
  assert.equal(tsc(`${TYPED}
    app.action("add", 1);
    app.action("clear");
    app.action("clear", null, { until: "saved" });
    app.action("rename", { id: 1, title: "x" }, { signal: AbortSignal.timeout(1000) });
    app.subscribe(({ count }) => count.toFixed());
    const title: string | undefined = app.document?.todos[0]?.title; title;
    connect().action("anything", { at: "all" });
    export function Part() {
      const count: number | undefined = useWindlass((state: State) => state.count);
      const [add, { pending, error }] = useAction<Actions, "add">("add");
      add(2); pending; error?.code;
      return count;
    }`), "");
});

for (const [what, line] of [
  ["an action that there is not", 'app.action("addd", 1);'],
  ["a payload of another type", 'app.action("add", "1");'],
  ["a payload that is missing", 'app.action("add");'],
  ["a member that is missing", 'app.action("rename", { id: 1 });'],
  ["a member that there is not", 'app.action("rename", { id: 1, title: "x", titel: "x" });'],
  ["an option that there is not", 'app.action("add", 1, { util: "saved" });'],
  ["a member of the state that there is not", "app.document?.todo;"],
  ["a component's payload of another type", 'const [add] = useAction<Actions, "add">("add"); add("1");'],
]) {
  test(`a compiler refuses ${what}`, () => {
    assert.match(tsc(TYPED + line), /^main\.ts\(6,\d+\): error TS\d+/);
  });
}

function node(script) {
  writeFileSync(join(project, "main.js"), script);
  return spawnSync(process.execPath, ["main.js"], { cwd: project, encoding: "utf8" });
}

/** What the compiler says of a script in the project. */
function tsc(script) {
  writeFileSync(join(project, "main.ts"), script.replace(/^\n/, ""));
  const compiler = join(FOLDER, "node_modules", ".bin", "tsc");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "false", "main.ts"];
  return spawnSync(compiler, [...options, "--types", ""], { cwd: project, encoding: "utf8" }).stdout;
}

/** npm tells of what `prepack` does before the JSON. */
function jsonOf(output) {
  return output.slice(output.search(/^\[/m));
}
