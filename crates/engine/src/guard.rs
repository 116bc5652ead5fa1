//! The fence around user code.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs user code; a panic becomes its message.
///
/// # Errors
///
/// The panic's text, when the code panicked.
pub fn guard<T>(user_code: impl FnOnce() -> T) -> Result<T, String> {
    // What the code could have left half done is thrown away by the caller: that is what rollback is for.
    catch_unwind(AssertUnwindSafe(user_code)).map_err(|payload| {
        let text = message(payload.as_ref());
        // A payload's own `drop` may panic as well; it must not escape from here.
        bury(payload);
        text
    })
}

/// Drops a value of the user's, whose `Drop` may panic.
pub(crate) fn bury<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The second panic's payload is leaked: dropping it could go on for ever.
        std::mem::forget(payload);
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "panicked with a value that is no text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(guard(|| -> u8 { panic!("no {}", 1) }), Err("no 1".to_owned()));
        assert_eq!(guard(|| 7), Ok(7));
    }

    #[test]
    fn a_value_that_panics_when_dropped_is_buried() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        bury(Bomb);
        assert!(guard(|| std::panic::panic_any(Bomb)).is_err());
    }
}
