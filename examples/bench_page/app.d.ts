// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Table;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  add(payload: null): null;
  clear(payload: null): null;
  nothing(payload: null): null;
  remove(payload: number): null;
  run(payload: null): null;
  run_lots(payload: null): null;
  select(payload: number): null;
  swap_rows(payload: null): null;
  update(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

export interface Row {
  id: number;
  label: string;
}

export interface Table {
  rows: Row[];
  selected: number | null;
}
