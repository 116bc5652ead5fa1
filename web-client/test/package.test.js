/**
 * The npm package as its users get it: what is packed, what each entry brings, what a compiler says of right and wrong use.
 *
 * @module
 */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
  const bundles = ["/devtools.js", "/forms.js", "/job-card.js", "/messages.js", "/model.js", "/more-formats.js", "/notices.js", "/windlass.js"];
  assert.deepEqual(names("dist", ""), bundles.flatMap((name) => [name, `${name}.map`]));
});

test("each entry of the exports map can be imported where there is no window, and has its types", async () => {
  const entries = ["windlass", "windlass/auto", "windlass/react", "windlass/svelte", "windlass/signals", "windlass/devtools"];
  const script = entries.map((entry) => `console.log(Object.keys(await import("${entry}")).sort().join());`);
  const { stdout, stderr } = node(script.slice(0, 1).concat(script.slice(2)).join("\n"));
  assert.equal(stderr, "");
  assert.deepEqual(stdout.trim().split("\n"), [
    "PatchError,Session,WindlassError,apply,bar,bind,connect,formats,labels,toasts",
    "WindlassProvider,useAction,useApp,useConnection,useEvent,useJobs,useWindlass",
    "connection,field,jobs,state",
    "follow,toSignal",
    "Player,RecordingError,default,devtools,read,write",
  ]);
  assert.equal(tsc(entries.map((entry, at) => `import * as e${at} from "${entry}"; e${at};`).join("\n")), "");
});

test("what docs/devtools.md shows of a recording can be read, and its test runs with the package", () => {
  const guide = readFileSync(join(FOLDER, "..", "docs", "devtools.md"), "utf8");
  const [recording] = blocks(guide, "json");
  const script = blocks(guide, "js").at(-1);
  writeFileSync(join(project, "bug.json"), recording);
  const { stdout, stderr } = node(`${script}\nconsole.log(player.held.document.count);`);
  assert.equal(stderr, "");
  assert.equal(stdout, "829.1 2 { count: 2, '$jobs': [] }\n0\n");
  for (const { bytes, message } of JSON.parse(recording).entries) {
    if (message) assert.equal(bytes, JSON.stringify(message).length);
  }
});

/** The fenced blocks of a language. */
function blocks(text, language) {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, block]) => block);
}

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

/** What `windlass types` writes of an app. */
const WRITTEN = `
  export type State = Shop;
  export interface Actions {
    add(payload: number): null;
    clear(payload: null): null;
    find(payload: { name: string }): Row | null;
    maybe(payload: number | null): string[];
  }
  export interface Fields {
    open: { path: ["open"], value: boolean };
    "rows.name": { path: ["rows", { id: number }, "name"], value: string };
  }
  export interface Events { closed: { at: number }; }
  export interface Row { id: number; name: string; tags: string[]; }
  export interface Shop { open: boolean; rows: Row[]; by_name: { [key in string]: Row }; best: Row | null; }
`;

const FROM_FILE = `
  import { connect } from "windlass";
  import { useAction, useWindlass } from "windlass/react";
  import type { State, Actions, Fields, Events } from "./app.js";
  const app = connect<State, Actions, Fields, Events>();
`;

test("the file that `windlass types` writes checks actions, replies, fields, paths, events and hooks", () => {
  writeFileSync(join(project, "app.d.ts"), WRITTEN);
  assert.equal(tsc(`${FROM_FILE}
    export async function all() {
      const found: string | undefined = (await app.action("find", { name: "x" }))?.name; found;
      const texts: string[] = await app.action("maybe"); texts;
      await app.action("clear"); await app.action("maybe", null, { until: "saved" });
      // @ts-expect-error there is no such action
      app.action("finde", { name: "x" });
      // @ts-expect-error the member has another name
      app.action("find", { nam: "x" });
      // @ts-expect-error it takes a number
      app.action("add", "1");
      // @ts-expect-error it takes something
      app.action("add");
      // @ts-expect-error it answers a row or nothing
      (await app.action("find", { name: "x" })).name;
      // @ts-expect-error it answers nothing
      (await app.action("add", 1)).length;
    }
    app.set(["open"], true); app.set(["rows", { id: 7 }, "name"], "x", { signal: AbortSignal.timeout(1) });
    // @ts-expect-error it is a boolean
    app.set(["open"], "yes");
    // @ts-expect-error no page may write there
    app.set(["best"], null);
    // @ts-expect-error rows are told apart by their id
    app.set(["rows", { name: "x" }, "name"], "x");
    app.subscribe("open", (open) => { const is: boolean = open; is; });
    app.subscribe("rows.0.name", (name) => name?.toUpperCase());
    app.subscribe("rows.length", (length) => length.toFixed());
    app.subscribe("best.tags", (tags) => tags?.join());
    app.subscribe("by_name.anything.id", (id) => id.toFixed());
    app.subscribe("$jobs.0.status", (status) => status === "done");
    app.subscribe(["rows", 0], (row) => row);
    app.subscribe((state) => state.best?.id);
    // @ts-expect-error there is no such member
    app.subscribe("opne", () => {});
    // @ts-expect-error a row has no such member
    app.subscribe("rows.0.nam", () => {});
    // @ts-expect-error it is a boolean
    app.subscribe("open", (open) => open.toFixed());
    app.addEventListener("emit", ({ detail }) => { if (detail.name === "closed") detail.value.at.toFixed(); });
    app.addEventListener("notify", ({ detail }) => detail.text, { once: true });
    app.addEventListener("error", ({ detail }) => detail.code);
    app.addEventListener("of_a_later_version", (event) => event.type);
    // @ts-expect-error nobody emits that
    app.addEventListener("emit", ({ detail }) => detail.name === "opened");
    export function Part() {
      const count: number | undefined = useWindlass(({ rows }: State) => rows.length);
      const [find, { pending }] = useAction<Actions, "find">("find"); pending;
      // @ts-expect-error it takes an object
      find("x");
      find({ name: "x" }).then((row) => row?.id);
      return count;
    }`), "");
});

test("a page in plain JavaScript says the types in comments, also of the script that the server serves", () => {
  writeFileSync(join(project, "app.d.ts"), WRITTEN);
  writeFileSync(join(project, "page.js"), `
    import { app as session, connect } from "/windlass/windlass.js?manual";
    /** @import { State, Actions, Fields, Events } from "./app.js" */
    /** @type {typeof connect<State, Actions, Fields, Events>} */
    const typed = connect;
    const app = typed();
    app.action("add", 1);
    // @ts-expect-error it takes a number
    app.action("add", "1");
    /** @type {import("windlass").Session<State, Actions, Fields>} */
    const other = app;
    // @ts-expect-error there is no such action
    other.action("addd", 1);
    other.document?.rows.length;
    session?.retry();
  `);
  writeFileSync(join(project, "jsconfig.json"), JSON.stringify({
    compilerOptions: { checkJs: true, strict: true, noEmit: true, target: "es2022", module: "esnext", moduleResolution: "bundler",
      types: [], skipLibCheck: false, paths: { "/windlass/windlass.js*": ["./node_modules/windlass/types/auto.d.ts"] } },
    files: ["page.js"],
  }));
  const { stdout } = spawnSync(join(FOLDER, "node_modules", ".bin", "tsc"), ["-p", "jsconfig.json"], { cwd: project, encoding: "utf8" });
  assert.equal(stdout, "");
});

test("the scripts of docs/types.md compile, and what it says to be refused is", () => {
  const guide = readFileSync(join(FOLDER, "..", "docs", "types.md"), "utf8");
  const folder = join(project, "guide");
  mkdirSync(folder);
  for (const [, name, text] of guide.matchAll(/^```(?:ts|js|json) (\S+)\n(.*?)^```$/gms)) writeFileSync(join(folder, name), text);
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  const compile = (...rest) => spawnSync(join(FOLDER, "node_modules", ".bin", "tsc"), rest, { cwd: folder, encoding: "utf8" }).stdout;
  assert.equal(compile("--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--ignoreConfig", "--types", "", "page.ts"), "");
  assert.equal(compile("-p", "jsconfig.json"), "");
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
