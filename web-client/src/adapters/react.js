/**
 * Hooks for React: what a component reads of the state, and it renders again when that has changed, and only then.
 *
 * ```jsx
 * import { useAction, useWindlass } from "windlass/react";
 *
 * function Counter() {
 *   const count = useWindlass((state) => state.count);
 *   const [add, { pending }] = useAction("add");
 *   return <button disabled={pending} onClick={() => add(1)}>{count}</button>;
 * }
 * ```
 *
 * Without a provider all components of a page share one session, which ends with the last of them. Importing touches no
 * `window`, and rendering on a server connects to nothing: there everything reads as `undefined`, as it does in the
 * browser until the first state has come.
 *
 * @module
 */

import {
  createContext, createElement, useCallback, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore,
} from "react";

import { WindlassError } from "../error.js";
import { hold, shared } from "./shared.js";

/** @import { ReactNode } from "react" */
/** @import { ConnectOptions } from "../environment.js" */
/** @import { Job, Session } from "../session.js" */
/** @import { ActionRest, ReplyOf } from "../typed.js" */

/** @typedef {Session["connection"]} Connection */

/**
 * How an action of {@link useAction} is doing.
 *
 * @typedef {object} ActionProgress
 * @property {boolean} pending true while one of its calls has no outcome
 * @property {WindlassError | undefined} error of the last call, until the next one
 */

const Context = createContext(/** @type {{ app?: Session, options?: ConnectOptions }} */ ({}));

/**
 * Gives the components within a session of their own: `app` as `connect` made it, or `options` (the address of another
 * server, say) for a shared one.
 *
 * @param {{ app?: Session<any, any, any>, options?: ConnectOptions, children?: ReactNode }} props
 */
export function WindlassProvider({ app, options, children }) {
  const url = options?.url;
  // An object written in the component's text is another one at each render; its address is what counts.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const value = useMemo(() => ({ app, options }), [app, url]);
  return createElement(Context.Provider, { value }, children);
}

/**
 * The session itself; `undefined` while a server renders.
 *
 * @template {object} [State=Record<string, any>]
 * @template {object} [Actions=Record<string, any>]
 * @returns {Session<State, Actions> | undefined}
 */
export function useApp() {
  const { app: given, options } = useContext(Context);
  const app = given ?? (typeof window === "undefined" ? undefined : shared(options));
  useEffect(() => app && hold(app), [app]);
  return /** @type {Session<State, Actions> | undefined} */ (/** @type {unknown} */ (app));
}

/**
 * What the selector takes out of the state; the whole state without one. The component renders again when it is
 * another value than before, by `isEqual`.
 *
 * @template {object} [State=Record<string, any>]
 * @template [Selection=State]
 * @param {(state: State) => Selection} [selector]
 * @param {(before: Selection, after: Selection) => boolean} [isEqual] `Object.is` by default: the client keeps the
 *   references of all that has not changed, so a selector that only picks needs no other
 * @returns {Selection | undefined} undefined until the first state has come
 */
export function useWindlass(selector = whole, isEqual = Object.is) {
  /** @type {Session<State> | undefined} */
  const app = useApp();
  const shown = useRef(/** @type {{ selection: Selection } | undefined} */ (undefined));
  const read = useMemo(() => {
    /** @type {State | undefined} */
    let from;
    /** @type {{ selection: Selection } | undefined} */
    let last;
    return () => {
      const state = app?.document;
      if (state === undefined) return undefined;
      if (last === undefined || state !== from) {
        const selection = selector(state);
        const before = last ?? shown.current;
        last = before !== undefined && isEqual(before.selection, selection) ? before : { selection };
        from = state;
      }
      return last.selection;
    };
  }, [app, selector, isEqual]);
  const selection = useSyncExternalStore(app?.subscribe ?? never, read, nothing);
  useEffect(() => {
    shown.current = selection === undefined ? undefined : { selection };
  }, [selection]);
  return selection;
}

/**
 * An action by its name, and how it is doing.
 *
 * @template {object} [Actions=Record<string, any>]
 * @template {keyof Actions & string} [Name=keyof Actions & string]
 * @param {Name} name
 * @returns {[run: (...rest: ActionRest<Actions[Name]>) => Promise<ReplyOf<Actions[Name]>>, progress: ActionProgress]} the
 *   promise is that of `Session.action`; whoever does not await it loses nothing, since `error` has what it rejects with
 */
export function useAction(name) {
  /** @type {Session<any, Actions> | undefined} */
  const app = useApp();
  const [progress, setProgress] = useState({ running: 0, error: /** @type {WindlassError | undefined} */ (undefined) });
  const run = useCallback(
    (/** @type {ActionRest<Actions[Name]>} */ ...rest) => {
      if (app === undefined) throw new WindlassError("closed", "a server that renders sends no actions");
      setProgress(({ running }) => ({ running: running + 1, error: undefined }));
      const done = app.action(name, ...rest);
      done.then(
        () => setProgress(({ running, error }) => ({ running: running - 1, error })),
        (error) => setProgress(({ running }) => ({ running: running - 1, error })),
      );
      return done;
    },
    [app, name],
  );
  const { running, error } = progress;
  return [run, { pending: running > 0, error }];
}

/**
 * The jobs of the session, oldest first.
 *
 * @returns {readonly Job[]}
 */
export function useJobs() {
  const app = useApp();
  return useSyncExternalStore(app?.subscribe ?? never, () => app?.jobs ?? NO_JOBS, () => NO_JOBS);
}

/**
 * The state of the connection, as `Session.connection` has it; `undefined` while a server renders.
 *
 * @returns {Connection | undefined}
 */
export function useConnection() {
  const app = useApp();
  const subscribe = useCallback(
    (/** @type {() => void} */ changed) => {
      app?.addEventListener("connection", changed);
      return () => app?.removeEventListener("connection", changed);
    },
    [app],
  );
  return useSyncExternalStore(subscribe, () => app?.connection, nothing);
}

/**
 * Hears of an event of the session (`notify`, `emit`, `navigate`, …) as long as the component is there. The listener may
 * be another one at each render.
 *
 * @param {string} type
 * @param {(detail: any, event: CustomEvent) => void} listener
 */
export function useEvent(type, listener) {
  const app = useApp();
  const current = useRef(listener);
  useEffect(() => {
    current.current = listener;
  });
  useEffect(() => {
    const heard = (/** @type {Event} */ event) =>
      current.current(/** @type {CustomEvent} */ (event).detail, /** @type {CustomEvent} */ (event));
    app?.addEventListener(type, heard);
    return () => app?.removeEventListener(type, heard);
  }, [app, type]);
}

/** @type {readonly Job[]} */
const NO_JOBS = [];

const never = () => () => {};
const nothing = () => undefined;

/** @type {(state: any) => any} */
const whole = (state) => state;
