// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Shown;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  add(payload: string): null;
  clear_completed(payload: null): null;
  destroy(payload: number): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  all: { path: ["all"], value: boolean };
  "todos.completed": { path: ["todos", { id: number }, "completed"], value: boolean };
  "todos.title": { path: ["todos", { id: number }, "title"], value: string };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

export interface Shown {
  todos: Todo[];
  all: boolean;
  active: number;
  completed: number;
}

export interface Todo {
  id: number;
  title: string;
  completed: boolean;
}
