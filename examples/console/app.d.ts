// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Counts;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  cancel_all(payload: null): null;
  start(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

/** What the page shows of it: the counts. */
export interface Counts {
  waiting: number;
  running: number;
  done: number;
  failed: number;
  cancelled: number;
}
