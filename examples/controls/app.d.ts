// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Controls;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  add(payload: null): null;
  haul(payload: Haul): null;
  remove(payload: number): null;
  say(payload: JsonValue): null;
  turn(payload: null): null;
  turn_lockers(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  area: { path: ["area"], value: string };
  colour: { path: ["colour"], value: string };
  day: { path: ["day"], value: string };
  extras: { path: ["extras"], value: string[] };
  lazy: { path: ["lazy"], value: string };
  "lockers[name].ropes[id].name": { path: ["lockers", { name: string }, "ropes", { id: number }, "name"], value: string };
  number: { path: ["number"], value: number | null };
  on: { path: ["on"], value: boolean };
  paused: { path: ["paused"], value: string };
  range: { path: ["range"], value: number };
  "rows.name": { path: ["rows", { id: number }, "name"], value: string };
  size: { path: ["size"], value: string };
  tags: { path: ["tags"], value: string[] };
  text: { path: ["text"], value: string };
  time: { path: ["time"], value: string };
  tint: { path: ["tint"], value: string };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

/** A field for each kind of control, a list, and what was sent. */
export interface Controls {
  text: string;
  area: string;
  /** Written when the person is through with it. */
  lazy: string;
  /** Written after a pause. */
  paused: string;
  number: number | null;
  range: number;
  on: boolean;
  extras: string[];
  size: string;
  colour: string;
  tags: string[];
  day: string;
  time: string;
  tint: string;
  rows: Row[];
  last_row: number;
  /** A list in each row of a list. */
  lockers: Locker[];
  /** What came, the newest first. */
  sent: string[];
  /** How many times a field was written. */
  writes: number;
  /** How many jobs were started. */
  hauls: number;
}

/** What the button that starts a job says beside it. */
export interface Haul {
  /** How long it takes; at most a minute. */
  seconds: number;
  fails?: boolean;
}

export type JsonValue =
  | number
  | string
  | boolean
  | JsonValue[]
  | { [key in string]: JsonValue }
  | null;

export interface Locker {
  name: string;
  ropes: Row[];
}

export interface Row {
  id: number;
  name: string;
}
