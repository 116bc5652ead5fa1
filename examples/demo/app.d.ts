// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Demo;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  add(payload: number): null;
  add_one(payload: Of): null;
  change_cell(payload: null): null;
  change_cells(payload: null): null;
  clear_text(payload: null): null;
  insert_row(payload: Place): null;
  move_last(payload: null): null;
  remove_first(payload: null): null;
  remove_row(payload: Of): null;
  /** Is answered when it is through, and holds up nothing. */
  reserve(payload: Reservation): null;
  reset(payload: null): null;
  reverse_rows(payload: null): null;
  sort_rows(payload: Column): null;
  start_heavy(payload: Order): null;
  start_text(payload: null): null;
  stop_text(payload: null): null;
  swap_rows(payload: null): null;
  turn_menu(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  "fields.dishes.name": { path: ["fields", "dishes", { id: number }, "name"], value: string };
  "fields.guests": { path: ["fields", "guests"], value: number };
  "fields.name": { path: ["fields", "name"], value: string };
  "fields.quiet": { path: ["fields", "quiet"], value: boolean };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = "heavy";

export interface Booking {
  name: string;
  guests: number;
  quiet: boolean;
  dishes: Dish[];
  /** How many times the page has written. */
  writes: number;
  answer: string;
}

export type Column = "id" | "name" | "qty" | "price";

export interface Counter {
  count: number;
}

/** What each session owns; the page shows all of it. */
export interface Demo {
  /** The first of this server is 1; so a person can tell two apart. */
  session: number;
  counter: Counter;
  heavy: Heavy;
  text: Text;
  fields: Booking;
  table: Table;
}

export interface Dish {
  id: number;
  name: string;
}

/** How the last task ended. */
export interface Ended {
  how: string;
  text: string;
}

export interface Heavy {
  started: number;
  ended: Ended | null;
  result: Primes | null;
}

/** What the buttons in a row send. */
export interface Of {
  id: number;
}

/** The form of the page. */
export interface Order {
  seconds: number;
  fail: boolean;
  panic: boolean;
}

export type Place = "top" | "middle";

/** How many primes there are below a number. */
export interface Primes {
  below: number;
  primes: number;
  largest: number;
}

/** What the form sends beside the fields that follow it. */
export interface Reservation {
  wish: string;
}

export interface Row {
  id: number;
  name: string;
  qty: number;
  price: number;
}

/** What the rows are in order of; nothing once they were moved by hand. */
export interface Sorted {
  by: Column | null;
  descending: boolean;
}

export interface Table {
  rows: Row[];
  sorted: Sorted;
}

export interface Text {
  body: string;
  tokens: number;
  total: number;
  running: boolean;
}
