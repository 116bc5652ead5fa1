/**
 * The words of the client in another language, right to left where it is written so. Files are named here and go nowhere.
 *
 * @module
 */

import { labels } from "./windlass/windlass.js";

const LANGUAGES = {
  en: labels.job,
  de: {
    status: { queued: "Wartet", running: "Läuft", done: "Fertig", failed: "Fehlgeschlagen", cancelled: "Abgebrochen", timed_out: "Zu lang", lost: "Verloren" },
    attempt: (attempt) => `Versuch ${attempt}`,
    rank: (rank) => `Nr. ${rank} in der Schlange`,
    left: (duration) => `noch etwa ${duration}`,
    cancel: "Abbrechen",
    dismiss: "Entfernen",
    log: "Protokoll",
  },
  ar: {
    status: { queued: "في الانتظار", running: "قيد التشغيل", done: "تم", failed: "فشل", cancelled: "أُلغي", timed_out: "انتهت المهلة", lost: "فُقد" },
    attempt: (attempt) => `المحاولة ${attempt}`,
    rank: (rank) => `رقم ${rank} في الطابور`,
    left: (duration) => `بقي نحو ${duration}`,
    cancel: "إلغاء",
    dismiss: "إزالة",
    log: "السجل",
  },
};

const language = document.querySelector("#language");
const speak = () => {
  labels.job = LANGUAGES[language.value];
  document.documentElement.lang = language.value;
  document.documentElement.dir = language.value === "ar" ? "rtl" : "ltr";
};
language.addEventListener("change", speak);

// What carries files to a server begins here; see docs/pages.md.
addEventListener("w-files", ({ detail, target }) => {
  target.dataset.files = Object.entries(detail.files).map(([name, files]) => `${name}: ${files.map((file) => file.name)}`).join("; ");
});

// What was chosen before a reload may still be chosen.
speak();
