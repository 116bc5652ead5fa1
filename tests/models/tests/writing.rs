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

#[test]
#[should_panic(expected = "deadlock")]
fn the_models_find_a_missed_bell() {
    writing::a_planted_missed_bell();
}
