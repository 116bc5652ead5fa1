// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Chat;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  ask(payload: Ask): null;
  clear(payload: null): null;
  regenerate(payload: null): null;
  stop(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

export interface Ask {
  text: string;
}

export type Author = "you" | "windlass";

/** What a session holds. */
export interface Chat {
  messages: Message[];
  status: Status;
}

export interface Message {
  id: number;
  author: Author;
  text: string;
  /** Why there is no more of it. */
  note: string | null;
}

/** What the last answer is doing. */
export type Status = "idle" | "writing" | "stopped" | "failed";
