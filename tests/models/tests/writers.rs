//! Runs the models of who writes to a socket.

use models::writers;

#[test]
fn frames_of_a_driver_leave_once_and_in_order_while_the_connections_task_polls() {
    writers::two_frames();
}

#[test]
fn what_the_socket_does_not_take_is_the_connections_task_to_finish() {
    writers::half_a_frame();
}

#[test]
fn a_task_that_comes_while_a_driver_writes_comes_again() {
    writers::a_ping();
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn the_models_find_a_driver_that_wakes_nobody() {
    writers::a_planted_driver_that_wakes_nobody();
}
