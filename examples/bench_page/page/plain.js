/**
 * The baseline: the same table from local data, by hand. Rows are cloned from one that was made beforehand, clicks are
 * delegated, and each button touches the nodes that it concerns and no others.
 *
 * @module
 */

const body = document.querySelector("#tbody");
const model = body.appendChild(document.createElement("tr"));
for (const name of ["col-md-1", "col-md-4", "col-md-1", "col-md-6"]) model.appendChild(document.createElement("td")).className = name;
// Links with an address, so that a keyboard gets to them.
for (const at of [1, 2]) model.children[at].appendChild(document.createElement("a")).href = "#";
const link = model.children[2].firstChild;
link.setAttribute("aria-label", "Remove");
const icon = link.appendChild(document.createElement("span"));
icon.className = "glyphicon glyphicon-remove";
icon.setAttribute("aria-hidden", "true");
model.remove();

let rows = [];
let selected = null;
let lastId = 0;
let random = 1;

const ADJECTIVES = ["taut", "tarred", "salty", "sturdy", "idle", "weathered", "oiled", "nimble", "creaking", "spare", "coiled", "heavy"];
const COLOURS = ["red", "ochre", "blue", "green", "brown", "white", "black", "grey"];
const NOUNS = ["rope", "anchor", "winch", "sail", "keel", "mast", "oar", "buoy", "shackle", "hawser", "capstan", "lantern"];

function pick(words) {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return words[(random >>> 16) % words.length];
}

function add(count) {
  const added = [];
  for (let n = 0; n < count; n++) {
    const tr = model.cloneNode(true);
    const row = { id: ++lastId, label: `${pick(ADJECTIVES)} ${pick(COLOURS)} ${pick(NOUNS)}`, tr };
    tr.row = row;
    const id = tr.firstChild;
    id.textContent = row.id;
    id.nextSibling.firstChild.textContent = row.label;
    added.push(row);
    body.appendChild(tr);
  }
  rows = rows.concat(added);
}

function clear() {
  rows = [];
  selected = null;
  body.textContent = "";
}

const BUTTONS = {
  run: () => (clear(), add(1_000)),
  runlots: () => (clear(), add(10_000)),
  add: () => add(1_000),
  update() {
    for (let at = 0; at < rows.length; at += 10) {
      rows[at].label += " !!!";
      rows[at].tr.children[1].firstChild.firstChild.data = rows[at].label;
    }
  },
  clear,
  swaprows() {
    if (rows.length <= 998) return;
    const [one, other] = [rows[1], rows[998]];
    [rows[1], rows[998]] = [other, one];
    const after = other.tr.nextSibling;
    body.insertBefore(other.tr, one.tr);
    body.insertBefore(one.tr, after);
  },
};
for (const [id, run] of Object.entries(BUTTONS)) document.getElementById(id).addEventListener("click", run);

body.addEventListener("click", (event) => {
  const { target } = event;
  if (target.closest("a")) event.preventDefault();
  const { row } = target.closest("tr");
  if (target.closest("td").nextSibling === row.tr.lastChild) {
    rows.splice(rows.indexOf(row), 1);
    row.tr.remove();
  } else if (target.matches("a")) {
    if (selected) selected.tr.className = "";
    selected = row;
    row.tr.className = "danger";
  }
});
