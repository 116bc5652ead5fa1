/**
 * What devtools look like, light and dark as the person has it.
 *
 * @module
 */

export const STYLE = /* css */ `
:host {
  all: initial;
  --surface: light-dark(#fff, #1b1f24);
  --raised: light-dark(#f4f6f8, #23282f);
  --line: light-dark(#d8dee4, #363d46);
  --text: light-dark(#1b2127, #e6eaee);
  --dim: light-dark(#57626d, #a4aeb8);
  --chosen: light-dark(#dbe9ff, #243b5a);
  --lit: light-dark(#ffe08a, #6b5410);
  --info: light-dark(#0b57c2, #7db6ff);
  --success: light-dark(#116329, #5bd07d);
  --warning: light-dark(#7d5000, #f0b952);
  --error: light-dark(#b31d28, #ff928c);
  --key: light-dark(#8a3a10, #ffb77a);
  --string: light-dark(#0b5f34, #7ee2a8);
  --number: light-dark(#1750c4, #8ab8ff);
  --other: light-dark(#6b21c8, #d2a8ff);
  position: fixed;
  z-index: 2147483646;
  color-scheme: light dark;
  font: 400 13px/1.45 system-ui, sans-serif;
  color: var(--text);
}
:host([data-dock=bottom]) { inset: auto 0 0 0; height: min(var(--size), 100vh); }
:host([data-dock=right]) { inset: 0 0 0 auto; width: min(var(--size), 100vw); }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.panel { display: flex; flex-direction: column; height: 100%; background: var(--surface); container-type: inline-size; box-shadow: 0 0 24px #0003; }
:host([data-dock=bottom]) .panel { border-block-start: 1px solid var(--line); }
:host([data-dock=right]) .panel { border-inline-start: 1px solid var(--line); }
.grip { position: absolute; z-index: 1; touch-action: none; }
:host([data-dock=bottom]) .grip { inset: -4px 0 auto 0; height: 8px; cursor: ns-resize; }
:host([data-dock=right]) .grip { inset: 0 auto 0 -4px; width: 8px; cursor: ew-resize; }
.grip:hover, .grip:focus-visible { background: color-mix(in srgb, var(--info) 55%, transparent); outline: none; }

svg { display: block; flex: none; width: 16px; height: 16px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
header { display: flex; align-items: center; gap: 6px; min-height: 34px; padding-inline: 10px 6px; background: var(--raised); border-block-end: 1px solid var(--line); }
header > svg { color: var(--info); }
.tabs { display: flex; align-self: stretch; }
.chips .badge { min-width: 0; overflow: hidden; text-overflow: ellipsis; }
.chips { display: flex; flex: 1; justify-content: end; align-items: center; gap: 8px; min-width: 0; overflow: hidden; white-space: nowrap; }
.chips .connection { display: flex; align-items: center; gap: 6px; color: var(--dim); font-variant-numeric: tabular-nums; overflow: hidden; text-overflow: ellipsis; }
.dot { flex: none; width: 8px; height: 8px; border-radius: 50%; background: var(--dim); }
.dot.live { background: var(--success); }
.dot.waiting, .dot.connecting { background: var(--warning); }
.dot.stopped { background: var(--error); }

button, input, select, summary { font: inherit; color: inherit; }
button, select, input { min-height: 24px; padding: 1px 8px; background: var(--surface); border: 1px solid var(--line); border-radius: 5px; }
button { cursor: pointer; white-space: nowrap; }
button:hover:not(:disabled) { background: color-mix(in srgb, currentColor 9%, var(--surface)); }
button:disabled { opacity: 0.55; cursor: default; }
button[aria-pressed=true] { background: var(--chosen); border-color: color-mix(in srgb, var(--info) 45%, var(--line)); }
button.primary { border-color: var(--info); color: var(--info); font-weight: 600; }
button.icon { padding: 3px; border-color: transparent; background: none; color: var(--dim); }
[role=tab] { padding-inline: 10px; border: 0; border-block: 2px solid transparent; border-radius: 0; background: none; color: var(--dim); }
[role=tab][aria-selected=true] { color: var(--text); font-weight: 600; border-block-end-color: var(--info); }
:focus-visible { outline: 2px solid var(--info); outline-offset: -2px; }
input[type=search] { width: 190px; min-width: 80px; }
input[type=number] { width: 84px; }
input[type=range] { width: 100%; padding: 0; border: 0; accent-color: var(--info); }

.body { flex: 1; min-height: 0; }
.view { display: flex; flex-direction: column; height: 100%; }
.view.scroll { overflow: auto; padding: 10px; gap: 10px; }
.toolbar { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; padding: 5px 8px; border-block-end: 1px solid var(--line); }
.toggles { display: flex; flex-wrap: wrap; gap: 4px; }
.space { flex: 1; }
.dim { color: var(--dim); }
.line { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; }
.footer { padding: 5px 8px; border-block-start: 1px solid var(--line); background: var(--raised); }
.path { font: 12px ui-monospace, monospace; overflow-wrap: anywhere; }
pre { margin: 6px 0 0; padding: 6px 8px; font: 12px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--raised); border-radius: 5px; }
.footer pre { max-height: 96px; overflow: auto; background: var(--surface); }

.list { position: relative; flex: 1; min-height: 0; min-width: 0; overflow: auto; font: 12px/24px ui-monospace, monospace; }
.ground { position: relative; overflow: hidden; }
.row { position: absolute; inset-inline: 0; height: 24px; padding-inline: 8px; white-space: nowrap; overflow: hidden; cursor: default; }
.row:hover { background: var(--raised); }
.row[aria-selected=true] { background: var(--chosen); }
.tree .row { display: flex; align-items: center; }
.tree .row svg { width: 16px; height: 16px; padding: 2px; color: var(--dim); cursor: pointer; }
.tree .row[aria-expanded=true] svg { transform: rotate(90deg); }
.tree .row svg.leaf { visibility: hidden; }
.key { color: var(--key); padding-inline: 2px 0; }
.key::after { content: ":"; color: var(--dim); padding-inline-end: 7px; }
.row .value { overflow: hidden; text-overflow: ellipsis; color: var(--dim); }
.row .value.string { color: var(--string); }
.row .value.number { color: var(--number); }
.row .value.boolean, .row .value.null { color: var(--other); }
.row.found .key { background: color-mix(in srgb, var(--lit) 70%, transparent); border-radius: 3px; }
@keyframes lit-0 { from { background: var(--lit); } }
@keyframes lit-1 { from { background: var(--lit); } }
.lit-0 { animation: lit-0 0.9s ease-out; }
.lit-1 { animation: lit-1 0.9s ease-out; }
@media (prefers-reduced-motion: reduce) { .row.lit { animation: none; background: var(--lit); } }

.split { display: flex; flex: 1; min-height: 0; }
.split .list { flex: 3; }
.listbox .row { display: grid; grid-template-columns: 70px 72px minmax(60px, 112px) minmax(0, 1fr) auto 58px 58px; gap: 8px; }
.listbox .row > * { overflow: hidden; text-overflow: ellipsis; }
.time, .bytes, .latency { color: var(--dim); text-align: end; font-variant-numeric: tabular-nums; }
.row .detail { color: var(--dim); }
.row .title { font-weight: 600; }
.row.later > * { color: var(--dim); font-weight: 400; }
.row .kind { font-size: 11px; color: var(--dim); }
.action .kind { color: var(--info); }
.event .kind { color: var(--other); }
.job .kind { color: var(--key); }
.connection .kind { color: var(--warning); }
.delta .kind { color: var(--string); }
.badge { align-self: center; padding: 0 7px; font: 600 11px/17px system-ui, sans-serif; border-radius: 9px; color: var(--tone, var(--dim)); background: color-mix(in srgb, var(--tone, var(--dim)) 9%, transparent); }
.badge:empty { visibility: hidden; }
.badge.info { --tone: var(--info); }
.badge.success { --tone: var(--success); }
.badge.warning { --tone: var(--warning); }
.badge.error { --tone: var(--error); }
.details { flex: 2; min-width: 0; padding: 8px 10px; overflow: auto; border-inline-start: 1px solid var(--line); }
.details p { margin: 4px 0; }
.life { display: flex; flex-wrap: wrap; gap: 4px; margin: 6px 0 0; padding: 0; list-style: none; }
.life li { display: flex; gap: 6px; padding: 1px 8px; border: 1px solid var(--line); border-radius: 10px; font-variant-numeric: tabular-nums; }
summary { margin-block-start: 6px; color: var(--dim); cursor: pointer; }

.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(250px, 100%), 1fr)); gap: 10px; align-items: start; }
fieldset { display: grid; gap: 8px; min-width: 0; margin: 0; padding: 8px 12px 12px; border: 1px solid var(--line); border-radius: 8px; }
legend { padding-inline: 4px; font-weight: 600; }
label { display: flex; align-items: center; gap: 6px; }
fieldset > label > span:first-child { min-width: 76px; }
fieldset p { margin: 0; }
.note { max-width: 62ch; margin: 0; font-size: 12px; }
.error { color: var(--error); overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 12px; margin: 0; }
dt { color: var(--dim); }
dd { margin: 0; }
.numbers { font-variant-numeric: tabular-nums; }

@container (max-width: 720px) {
  .split { flex-direction: column; }
  .details { border-inline-start: 0; border-block-start: 1px solid var(--line); }
  .listbox .row { grid-template-columns: 66px minmax(60px, 120px) minmax(0, 1fr) auto 58px; }
  .row .kind, .row .bytes { display: none; }
}
@container (max-width: 560px) {
  .chips { gap: 5px; }
  [role=tab] { padding-inline: 7px; }
  .chips .connection > span { display: none; }
}
@media (forced-colors: active) {
  .row[aria-selected=true], [role=tab][aria-selected=true] { outline: 2px solid Highlight; outline-offset: -2px; }
}
`;
