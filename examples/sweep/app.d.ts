// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Shown;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  select(payload: number): null;
  start(payload: null): null;
  stop_all(payload: null): null;
  stop_run(payload: number): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  seed: { path: ["seed"], value: number };
  stops_early: { path: ["stops_early"], value: boolean };
  target: { path: ["target"], value: number };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

/** A run: a cell of the heat map. */
export interface Cell {
  /** Its number among the job's runs. */
  id: number;
  rate: number;
  units: number;
  state: Progress;
  /** From 0 to 1, on points that it was not trained on. */
  score: number | null;
  /** The score as one of ten shades. */
  shade: number | null;
  text: string | null;
}

export interface Counts {
  queued: number;
  running: number;
  done: number;
  failed: number;
  stopped: number;
}

/** What the sweep, or one of its runs, is doing. */
export type Progress = "ready" | "queued" | "running" | "done" | "failed" | "stopped";

/** What the page shows: the cells and what follows from them. */
export interface Shown {
  state: Progress;
  reason: string | null;
  seed: number;
  target: number;
  stops_early: boolean;
  counts: Counts;
  best: Cell | null;
  ranking: Cell[];
  selected: Cell;
  cells: Cell[];
}
