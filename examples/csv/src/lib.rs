//! Shows an external command: it writes a CSV file of a million rows and analyses it, and each column is shown as it is ready.
//!
//! The command is this very program, called again with another first argument, so that it is always there. Where there is
//! Python, the same analysis as a script can be chosen.

use std::fmt::Write as _;

use windlass::prelude::*;
use windlass::{Again, Command, PoolOptions, Whole};

mod analysis;

/// What a session sees of its analysis.
#[derive(Clone, Default, Deserialize, Serialize, TS)]
pub struct Analysis {
    /// `idle`, `running`, `done`, `failed`, `cancelled`, `lost`.
    status: String,
    /// Why it failed, with the end of the command's log.
    reason: Option<String>,
    columns: Vec<Column>,
    rows: u64,
    megabytes: f64,
    seconds: f64,
    /// The languages in which the command can be run here.
    languages: Vec<String>,
    /// Counts the runs, so that what an old one still delivers is not taken for the new one's.
    run: Private<u64>,
}

/// One column, as the page shows it.
#[derive(Clone, Deserialize, Serialize, TS)]
struct Column {
    name: String,
    kind: String,
    count: u64,
    note: String,
    /// Its bars, as an SVG path in a box of 240 by 60.
    bars: String,
}

/// What the command tells of one column.
#[derive(Deserialize)]
struct Found {
    name: String,
    kind: String,
    count: u64,
    note: String,
    bars: Vec<u64>,
}

/// What the command gives in the end.
#[derive(Deserialize)]
struct Summary {
    rows: u64,
    bytes: u64,
    seconds: f64,
}

/// What the page asks for.
#[derive(Deserialize, TS)]
struct Request {
    rows: u64,
    language: String,
    /// `old` or `fast`.
    disk: String,
    broken: bool,
}

/// The first argument that makes this program the command.
const COMMAND: &str = "analyse-csv";

/// Call it first in `main`: when the program was started as the command, it does that and ends.
pub fn be_the_command_if_asked() {
    if std::env::args().nth(1).as_deref() == Some(COMMAND) {
        analysis::main();
    }
}

/// The app, with its page, to be served or nested. `main` begins with [`be_the_command_if_asked`].
pub fn app() -> App<Analysis, Whole, Typed> {
    let this_program = std::env::current_exe().unwrap_or_else(|_| "csv".into());
    let python = Command::new("python3").arg("-c").arg(include_str!("analyse.py"));
    let has_python = python.is_there();
    let languages: Vec<_> =
        ["rust", "python"].into_iter().take(1 + usize::from(has_python)).map(String::from).collect();
    let there = languages.clone();
    let init = move || Analysis { status: "idle".into(), languages: languages.clone(), ..Analysis::default() };
    let app = App::new(init)
        .typed()
        .command("analyse-rust", Command::new(this_program).arg(COMMAND))
        .action("start", start)
        .action("stop", |_, cx, ()| {
            cx.cancel("analyse-rust");
            cx.cancel("analyse-python");
        })
        // The command has ended with the server, and what is installed may have changed.
        .on_restore(move |analysis, _cx| {
            analysis.languages.clone_from(&there);
            if analysis.status == "running" {
                analysis.status = "lost".into();
            }
        })
        // A command computes on a core of its own, so it needs no more threads than there are cores.
        .pool("analysis", PoolOptions::default())
        .page(page!("page"));
    if has_python { app.command("analyse-python", python) } else { app }
}

fn start(analysis: &mut Analysis, cx: &mut Cx<Analysis>, request: Request) -> Result {
    if !(1000..=5_000_000).contains(&request.rows) {
        return Err(Error::refuse("rows", "take 1,000 to 5,000,000 rows"));
    }
    if !analysis.languages.contains(&request.language) {
        return Err(Error::refuse("language", format!("\"{}\" is not installed here", request.language)));
    }
    let run = *analysis.run + 1;
    let languages = std::mem::take(&mut analysis.languages);
    *analysis = Analysis { status: "running".into(), run: run.into(), languages, ..Analysis::default() };
    let input = serde_json::json!({
        "rows": request.rows,
        "broken": request.broken,
        "megabytes_per_second": if request.disk == "old" { 30 } else { 0 },
    });
    cx.command(format!("analyse-{}", request.language), &input)
        .pool("analysis")
        .key("analyse")
        .again(Again::Replace)
        .timeout(Duration::from_secs(300))
        .show_log()
        .on_partial(move |analysis: &mut Analysis, _cx, found: Found| {
            if *analysis.run == run {
                analysis.columns.push(found.into());
            }
        })
        .on_status(move |analysis, cx, status| {
            if *analysis.run == run {
                analysis.ended(cx, status);
            }
        })
        .start()?;
    Ok(())
}

impl Analysis {
    fn ended(&mut self, cx: &mut Cx<Self>, status: Status<Summary>) {
        match status {
            Status::Done(Summary { rows, bytes, seconds }) => {
                (self.rows, self.megabytes, self.seconds) = (rows, bytes as f64 / 1e6, seconds);
                self.status = "done".into();
                cx.notify(Level::Success, format!("{rows} rows analysed"));
            }
            Status::Failed(error) => {
                self.status = "failed".into();
                // This page is for people who like to see how it failed; another would keep the text to its log.
                self.reason = Some(error.text);
                cx.notify(Level::Error, "The analysis failed");
            }
            Status::Running(_) => {}
            _ => self.status = "cancelled".into(),
        }
    }
}

impl From<Found> for Column {
    fn from(found: Found) -> Self {
        let Found { name, kind, count, note, bars } = found;
        let most = bars.iter().copied().max().unwrap_or(1).max(1) as f64;
        let width = 240.0 / bars.len().max(1) as f64;
        let mut path = String::new();
        for (at, bar) in bars.iter().enumerate() {
            let (left, height) = (at as f64 * width, *bar as f64 / most * 58.0);
            let _ = write!(path, "M{left:.1} 60v-{height:.1}h{:.1}v{height:.1}z", width * 0.86);
        }
        Self { name, kind, count, note, bars: path }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

    use super::*;

    #[test]
    fn columns_come_one_by_one_and_the_summary_ends_it() {
        let mut t = App::new(Analysis::default)
            .command("analyse-rust", Command::new("true"))
            .pool("analysis", PoolOptions::default())
            .action("start", |analysis: &mut Analysis, cx: &mut Cx<Analysis>, request: Request| {
                analysis.languages = vec!["rust".into()];
                start(analysis, cx, request)
            })
            .test();
        let request = serde_json::json!({"rows": 10, "language": "rust", "disk": "fast", "broken": false});
        assert_eq!(t.send("start", &request).code(), Some("rows"));
        let mut request = request;
        request["rows"] = 1000.into();
        let answer = t.send("start", &request);
        assert!(answer.is_applied(), "{answer:?}");
        let column = serde_json::json!({"name": "city", "kind": "text", "count": 7, "note": "x", "bars": [4, 2, 1]});
        t.jobs().emit("analyse-rust", column);
        assert_eq!(
            t.document()["columns"][0]["bars"],
            "M0.0 60v-58.0h68.8v58.0zM80.0 60v-29.0h68.8v29.0zM160.0 60v-14.5h68.8v14.5z"
        );
        t.jobs().done("analyse-rust", Summary { rows: 1000, bytes: 2_000_000, seconds: 1.0 });
        assert_eq!((&t.document()["status"], &t.document()["megabytes"]), (&"done".into(), &2.0.into()));
    }

    #[test]
    fn the_types_of_the_page_are_current() {
        let types = app().types().unwrap_or_else(|error| error.text);
        assert_eq!(types, include_str!("../app.d.ts"), "run `windlass types -p csv -o examples/csv/app.d.ts`");
    }
}
