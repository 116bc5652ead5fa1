//! Runs the models of the driver role.

/// ONE-OWNER
#[test]
fn one_driver_at_a_time_applies_every_message_and_update_once_and_in_order() {
    models::messages_and_an_update();
}

/// ONE-OWNER
#[test]
fn a_role_that_is_handed_over_is_taken_up_again() {
    models::messages_while_the_role_is_handed_over();
}

/// ONE-OWNER
#[test]
fn no_wake_up_is_lost_between_two_who_update() {
    models::updates_of_two_threads();
}

#[test]
fn a_session_that_is_being_retired_still_has_its_turn() {
    models::a_message_while_the_session_is_retired();
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn the_models_find_a_lost_wake_up() {
    models::a_planted_lost_wake_up();
}
