/**
 * `<windlass-job>`: one job of `$jobs` as a card with its progress, place in the queue, time to the end, log and a button.
 *
 *     <template w-each="job of $jobs" w-key="job.id">
 *       <windlass-job w-prop:job="job" w-on:cancel="$cancel" w-on:dismiss="$dismiss" w-arg="job.id"></windlass-job>
 *     </template>
 *
 * Loaded by the first page that has one. It shows its property `job` and dispatches `cancel` and `dismiss`. That a job
 * ended, and how, is read aloud; what moves in between is not.
 *
 * @module
 */

/** @typedef {import("./session.js").Job} Job */

/** @param {import("./later.js").Kit} kit */
export default async function jobCard({ formats, labels, later }) {
  const { Base, fill, h, write } = /** @type {import("./notices.js").Notices} */ (await later("notices"));
  // Read anew each time, so that a page may change the language at any time.
  const wordsNow = () => ({ ...WORDS, ...labels.job, status: { ...WORDS.status, ...labels.job.status } });

  /** @type {Set<JobCard>} on the page */
  const cards = new Set();

  class JobCard extends Base {
    /** @type {Job | null} */
    #job = null;
    #name = h("strong", { part: "name" });
    #status = h("span", { part: "status" });
    #said = h("span", { class: "unseen", role: "status" });
    #bar = h("progress", { part: "progress", max: "1" });
    #text = h("span", { part: "text" });
    #log = h("pre", { part: "log", tabindex: "0" });
    #summary = h("summary");
    #details = h("details", { part: "details" }, this.#summary, this.#log);
    #button = h("button", { type: "button", part: "button", class: "action" });
    #card = h("div", { class: "card", part: "card" });

    constructor() {
      super();
      this.#card.append(h("div", { class: "line" }, this.#name, this.#status, this.#button), this.#bar, this.#text, this.#details, this.#said);
      fill(this, RULES, this.#card);
      this.#button.addEventListener("click", () => {
        const type = isOver(this.#job) ? "dismiss" : "cancel";
        this.dispatchEvent(new CustomEvent(type, { bubbles: true, composed: true, detail: { job: this.#job?.id } }));
      });
      // Newly opened, a log shows its end.
      this.#details.addEventListener("toggle", () => (this.#log.scrollTop = this.#log.scrollHeight));
    }

    connectedCallback() {
      cards.add(this);
      // Set before this class was there.
      if (!Object.hasOwn(this, "job")) return this.draw();
      const { job } = this;
      delete (/** @type {{ job?: unknown }} */ (this).job);
      this.job = job;
    }

    disconnectedCallback() {
      cards.delete(this);
    }

    get job() {
      return this.#job;
    }

    set job(job) {
      if (job === this.#job) return;
      const was = this.#job;
      this.#job = job;
      this.draw();
      if (was && job && was.id === job.id && isOver(job) && !isOver(was)) {
        this.#said.textContent = `${job.name}: ${wordsNow().status[job.status]}`;
      }
    }

    draw() {
      const job = this.#job;
      this.hidden = !job;
      if (!job) return;
      const { name, status, attempt, rank, eta_ms, progress, text, log = [] } = job;
      const words = wordsNow();
      this.#card.className = `card ${TONES[status] ?? "info"}`;
      write(this.#name, name);
      write(this.#status, attempt > 1 ? `${words.status[status]}, ${words.attempt(attempt)}` : words.status[status] ?? status);
      this.#bar.hidden = status !== "running";
      this.#bar.setAttribute("aria-label", name);
      if (progress === null) this.#bar.removeAttribute("value");
      else this.#bar.value = progress;
      const left = eta_ms !== null && !isOver(job) && formats.duration ? words.left(formats.duration(eta_ms)) : "";
      write(this.#text, [status === "queued" && rank !== null && words.rank(rank), text, left].filter(Boolean).join(" · "));
      write(this.#button, isOver(job) ? words.dismiss : words.cancel);
      this.#button.setAttribute("aria-label", `${this.#button.textContent}: ${name}`);
      this.#details.hidden = !log.length;
      write(this.#summary, words.log);
      const atEnd = this.#log.scrollTop + this.#log.clientHeight >= this.#log.scrollHeight - 4;
      write(this.#log, log.join("\n"));
      if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
    }
  }

  // A job that has ended never changes again, and its card would speak the language of before.
  const speak = new MutationObserver(() => cards.forEach((card) => card.draw()));
  speak.observe(document.documentElement, { attributeFilter: ["lang"] });
  if (!customElements.get("windlass-job")) customElements.define("windlass-job", JobCard);
}

/** @param {Job | null} job */
function isOver(job) {
  return !!job && job.status !== "queued" && job.status !== "running";
}

/** @typedef {typeof WORDS} JobLabels */
const WORDS = {
  /** @type {{ [status: string]: string }} */
  status: {
    queued: "Waiting",
    running: "Running",
    done: "Done",
    failed: "Failed",
    cancelled: "Cancelled",
    timed_out: "Timed out",
    lost: "Lost",
  },
  attempt: (/** @type {number} */ attempt) => `attempt ${attempt}`,
  rank: (/** @type {number} */ rank) => `no. ${rank} in the queue`,
  left: (/** @type {string} */ duration) => `about ${duration} left`,
  cancel: "Cancel",
  dismiss: "Dismiss",
  log: "Log",
};

/** @type {{ [status: string]: string }} */
const TONES = { done: "success", failed: "error", timed_out: "error", lost: "error", cancelled: "warning" };

const RULES = /* css */ `
:host { position: static; z-index: auto; display: block; pointer-events: auto; }
.card { display: grid; gap: 0.375rem; padding: 0.625rem 0.875rem; border-inline-start: 4px solid var(--accent); box-shadow: none; }
.line { display: flex; align-items: center; gap: 0.75rem; }
strong { flex: 1; min-width: 0; overflow-wrap: anywhere; font-weight: 600; }
[part=status] { color: var(--accent); }
[part=text] { color: var(--dim); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
[part=text]:empty { display: none; }
progress { width: 100%; accent-color: var(--accent); }
summary { cursor: pointer; color: var(--dim); }
pre { margin: 0.25rem 0 0; max-height: 12rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; font: 0.8125rem/1.4 ui-monospace, monospace; }
summary:focus-visible, pre:focus-visible { outline: 2px solid var(--info); outline-offset: 1px; }
`;
