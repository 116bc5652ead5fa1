// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Home;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  add(payload: Add): null;
  count(payload: null): null;
  remove(payload: number): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  name: { path: ["name"], value: string };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

/** What the form sends. */
export interface Add {
  text: string;
}

/** What each session owns; the page shows all of it. */
export interface Home {
  /** The page writes it by itself. */
  name: string;
  things: Thing[];
  /** How many things were counted, when that has been done. */
  counted: number | null;
}

/** One row of the list. */
export interface Thing {
  id: number;
  text: string;
}
