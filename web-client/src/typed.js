/**
 * How an app's types check what a page says: types for an editor and for `tsc`, and no code.
 *
 * An app's `.d.ts`, as `windlass types` writes it, has an interface of actions whose members are functions, one of fields
 * whose members are a path and a value, and one of events. An action's member may also be the type of its payload alone.
 *
 * @module
 */

/** @import { ActionOptions, Job } from "./session.js" */
/** @import { WindlassError } from "./error.js" */
/** @import { ConnectionStatus } from "./connection.js" */
/** @import { Notify } from "./toasts.js" */

/**
 * What an action takes.
 *
 * @template Action
 * @typedef {[Action] extends [(payload: infer Payload) => unknown] ? Payload : Action} PayloadOf
 */

/**
 * What an action's promise resolves with.
 *
 * @template Action
 * @typedef {[Action] extends [(payload: never) => infer Reply] ? Reply : unknown} ReplyOf
 */

/**
 * What follows the name of an action in a call: its payload, which is needed unless null is one, and options.
 *
 * @template Action
 * @typedef {null extends PayloadOf<Action> ? [payload?: PayloadOf<Action>, options?: ActionOptions]
 *   : undefined extends PayloadOf<Action> ? [payload?: PayloadOf<Action>, options?: ActionOptions]
 *   : [payload: PayloadOf<Action>, options?: ActionOptions]} ActionRest
 */

/** Where a value is written: members by name, rows of lists by their key. @typedef {(string | { [key: string]: unknown })[]} FieldPath */

/**
 * What `Session.set` takes: the path and the value of one of the fields.
 *
 * @template Fields
 * @typedef {{ [Name in keyof Fields]: Fields[Name] extends { path: infer Path, value: infer Value }
 *     ? [path: Path, value: Value, options?: ActionOptions]
 *     : [path: FieldPath, value: unknown, options?: ActionOptions] }[keyof Fields]} SetRest
 */

/**
 * The value at a dotted path, as `subscribe` gives it.
 *
 * @template State
 * @template {string} Path
 * @typedef {Path extends "" ? State : Path extends `${infer Name}.${infer Rest}` ? ValueAt<Step<State, Name>, Rest> : Step<State, Path>} ValueAt
 */

/**
 * The path itself when it leads somewhere, else those that do as far as it goes.
 *
 * @template State
 * @template {string} Path
 * @typedef {Path extends "" ? Path
 *   : Path extends `${infer Name}.${infer Rest}`
 *   ? (Name extends Names<State> ? `${Name}.${PathIn<Step<State, Name>, Rest>}` : Names<State>)
 *   : Path extends Names<State> ? Path : Names<State>} PathIn
 */

/** What a page finds in the root besides the app's own. @typedef {{ $jobs: readonly Job[] }} Root */

/**
 * The names of a value's members; any text when they are not known.
 *
 * @template Value
 * @typedef {unknown extends Value ? string
 *   : NonNullable<Value> extends readonly unknown[] ? `${number}` | "length"
 *   : NonNullable<Value> extends object ? KeyOf<NonNullable<Value>> : never} Names
 */

/**
 * Of a union the members of each.
 *
 * @template Value
 * @typedef {Value extends unknown ? keyof Value & string : never} KeyOf
 */

/**
 * @template Value
 * @template {string} Name
 * @typedef {unknown extends Value ? unknown
 *   : Value extends null | undefined ? undefined
 *   : Value extends readonly (infer Row)[] ? (Name extends "length" ? number : Row | undefined)
 *   : Name extends keyof Value ? Value[Name] : undefined} Step
 */

/**
 * The detail of an `emit` event: what the app has told by that name.
 *
 * @template Events
 * @typedef {{ [Name in keyof Events & string]: { name: Name, value: Events[Name] } }[keyof Events & string]} EmitOf
 */

/**
 * What a session tells, by the type of the event; all are `CustomEvent`s.
 *
 * @template Events
 * @typedef {object} Details
 * @property {Notify} notify
 * @property {{ id: string }} close_notify
 * @property {{ url: string }} navigate
 * @property {{ url: string, name?: string }} download
 * @property {EmitOf<Events>} emit
 * @property {ConnectionStatus} connection
 * @property {{ url: string }} navigated
 * @property {{ reason: string, rejected: number }} fresh
 * @property {{}} restored
 * @property {{}} taken_over
 * @property {WindlassError} error
 */

/**
 * `addEventListener` that knows what the listener gets.
 *
 * @template Events
 * @typedef {object} Listens
 * @property {<Type extends keyof Details<Events>>(type: Type, listener: (event: CustomEvent<Details<Events>[Type]>) => void,
 *   options?: boolean | AddEventListenerOptions) => void} addEventListener
 */

export {};
