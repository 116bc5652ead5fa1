// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Analysis;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  start(payload: Request): null;
  stop(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = "analyse-python" | "analyse-rust";

/** What a session sees of its analysis. */
export interface Analysis {
  /** `idle`, `running`, `done`, `failed`, `cancelled`, `lost`. */
  status: string;
  /** Why it failed, with the end of the command's log. */
  reason: string | null;
  columns: Column[];
  rows: number;
  megabytes: number;
  seconds: number;
  /** The languages in which the command can be run here. */
  languages: string[];
}

/** One column, as the page shows it. */
export interface Column {
  name: string;
  kind: string;
  count: number;
  note: string;
  /** Its bars, as an SVG path in a box of 240 by 60. */
  bars: string;
}

/** What the page asks for. */
export interface Request {
  rows: number;
  language: string;
  /** `old` or `fast`. */
  disk: string;
  broken: boolean;
}
