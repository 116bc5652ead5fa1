// Written by `windlass types` from the app's Rust types. What is changed here is lost.

/** What a page sees: `app.document`. */
export type State = Training;

/** What a page may ask for: `app.action(name, payload)`. */
export interface Actions {
  pause(payload: null): null;
  resume(payload: null): null;
  start(payload: null): null;
  stop(payload: null): null;
}

/** What a page may write to: `app.set(path, value)`, `w-model`. */
export interface Fields {
  rate: { path: ["rate"], value: number };
}

/** What a page may hear of: `emit` events, by name. */
export interface Events {}

/** The jobs that have a name of their own in the app. */
export type JobName = never;

/** The best network so far, at that epoch. */
export interface Checkpoint {
  epoch: number;
  held_out_loss: number;
  accuracy: number;
}

/** What a session sees of its training. */
export interface Training {
  status: string;
  /** Why it ended, when it failed. */
  reason: string | null;
  rate: number;
  epoch: number;
  epochs: number;
  loss: number | null;
  held_out_loss: number | null;
  /** From 0 to 1, on points that it was not trained on. */
  accuracy: number | null;
  /** Points of an SVG polyline: each report appends one. */
  curve: string;
  held_out_curve: string;
  /** Where the network says "second moon", as an SVG path of cells. */
  map: string;
  /** The points of the moons, as SVG paths of dots. */
  first_moon: string;
  second_moon: string;
  checkpoints: Checkpoint[];
}
