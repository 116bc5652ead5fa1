//! Every script of docs/commands.md is run, with the interpreter that it is for, and has to say what the guide promises.

use std::process::Command as Process;

use serde::Serialize;
use serde_json::{Value, json};
use windlass::prelude::*;
use windlass::{Command, Status};

const GUIDE: &str = include_str!("../../../docs/commands.md");
/// Without these a machine cannot tell whether the guide is right. Others are tried where they are.
const NEEDED: [&str; 2] = ["python3", "sh"];

#[derive(Clone, Default, Serialize)]
struct Sums {
    partial: Vec<u64>,
    result: Option<u64>,
    failed: Option<String>,
}

/// The scripts of the guide, each with the interpreter that the comment above it names.
fn scripts() -> Vec<(&'static str, &'static str)> {
    let parts = GUIDE.split("<!-- ").skip(1);
    parts
        .map(|part| {
            let (interpreter, rest) = part.split_once(" -->\n```").unwrap();
            let (_, rest) = rest.split_once('\n').unwrap();
            (interpreter, rest.split_once("\n```").unwrap().0)
        })
        .collect()
}

fn command(interpreter: &str, script: &str) -> Command {
    match interpreter {
        "python3" => Command::new("python3").arg("-c").arg(script),
        "sh" | "jq" => Command::new("sh").arg("-c").arg(script),
        "node" | "perl" | "Rscript" => Command::new(interpreter).arg("-e").arg(script),
        other => panic!("how is {other} given a script?"),
    }
}

fn is_there(interpreter: &str) -> bool {
    let is_there = Command::new(interpreter).is_there();
    // R and its package are two.
    let has_jsonlite = || Process::new("Rscript").args(["-e", "library(jsonlite)"]).output().unwrap().status.success();
    is_there && (interpreter != "Rscript" || has_jsonlite())
}

#[test]
fn every_script_of_the_guide_sums_with_progress_and_partial_results() {
    let scripts = scripts();
    assert!(scripts.len() >= 6, "the guide marks its scripts in another way");
    for (interpreter, script) in scripts {
        if !is_there(interpreter) {
            assert!(
                !NEEDED.contains(&interpreter),
                "{interpreter} is needed to try docs/commands.md; on Debian: apt-get install python3 dash"
            );
            println!("{interpreter} is not installed here: its script was not tried");
            continue;
        }
        let mut t = App::new(Sums::default)
            .command("sum", command(interpreter, script))
            .action("sum", |_: &mut Sums, cx: &mut Cx<Sums>, numbers: Vec<u64>| {
                cx.command("sum", &json!({ "numbers": numbers }))
                    .show_log()
                    .on_partial(|sums, _cx, partial: u64| sums.partial.push(partial))
                    .on_status(|sums, _cx, status| match status {
                        Status::Done(result) => sums.result = Some(result),
                        Status::Failed(error) => sums.failed = Some(error.text),
                        _ => {}
                    })
                    .start()
                    .map(drop)
            })
            .test();
        t.send("sum", [3, 4, 5]);
        t.jobs().finish("sum");
        let sums = t.state();
        assert_eq!(sums.failed, None, "{interpreter}");
        assert_eq!((sums.partial, sums.result), (vec![3, 7, 12], Some(12)), "{interpreter}");
        let job: &Value = &t.document()["$jobs"][0];
        assert_eq!((&job["progress"], &job["log"]), (&json!(1.0), &json!(["summed"])), "{interpreter}");
    }
}
