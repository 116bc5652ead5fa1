//! Runs the models of the desk between sessions and the writer.

use models::writing;

#[test]
fn what_is_handed_over_is_written_once_and_no_bell_is_missed() {
    writing::records_while_the_writer_runs();
}

#[test]
fn a_record_that_failed_is_never_written_over_a_later_one() {
    writing::a_failure_while_a_later_record_comes();
}

#[test]
fn a_desk_that_closes_loses_nothing_unseen() {
    writing::a_record_while_the_desk_closes();
}

#[test]
fn all_who_wait_for_the_end_see_it() {
    writing::two_who_wait_for_the_end();
}

/// In a process of its own: loom ends the one in which it finds a deadlock while threads of the model hold locks.
#[test]
fn the_models_find_a_missed_bell() {
    const PLANTED: &str = "WINDLASS_MISSED_BELL";
    if std::env::var_os(PLANTED).is_some() {
        return writing::a_planted_missed_bell();
    }
    let this = std::env::current_exe().expect("a test is a program");
    let run =
        std::process::Command::new(this).args(["--exact", "the_models_find_a_missed_bell"]).env(PLANTED, "1").output();
    let run = run.expect("it starts");
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(!run.status.success() && said.contains("deadlock"), "{said}");
}
