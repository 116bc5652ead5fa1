//! What keeps other people's panics from spreading: through threads, destructors and locks.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// The longest text of a panic that is passed on, in bytes.
pub(crate) const PANIC_TEXT_MAX: usize = 4 * 1024;

/// Locks `mutex`, poisoned or not.
///
/// No code of an app runs while one of this crate's locks is held, but for a sink, whose panics are caught
/// inside. What a lock guards is therefore whole even if a thread should panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs code of an app; a panic becomes its text.
pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    // The caller drops whatever the closure has borrowed or moved, and never looks at it again.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = text(payload.as_ref());
        discard(payload);
        text
    })
}

/// Drops a value of an app; a panic in its destructor goes no further. Says what the panic said.
pub(crate) fn discard<T>(value: T) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(value))).err()?;
    let text = text(payload.as_ref());
    // A payload can have a destructor that panics too, and its payload again: the second one is leaked.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
    Some(text)
}

/// Shortens `text` to at most `bytes_max` bytes, at the end of a character.
pub(crate) fn clip(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
    text
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = match payload.downcast_ref::<&'static str>() {
        Some(text) => (*text).to_owned(),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "a panic without a text".to_owned(),
        },
    };
    clip(text, PANIC_TEXT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(catch(|| 1), Ok(1));
        assert_eq!(catch(|| -> () { panic!("plain") }), Err("plain".into()));
        assert_eq!(catch(|| -> () { panic!("{} and {}", 1, 2) }), Err("1 and 2".into()));
        assert_eq!(catch(|| -> () { panic_any(7_u8) }), Err("a panic without a text".into()));
    }

    #[test]
    fn a_panic_whose_payload_panics_when_it_is_dropped_goes_no_further() {
        assert_eq!(catch(|| -> () { panic_any(Bomb) }), Err("a panic without a text".into()));
        assert_eq!(discard(Bomb), Some("dropped".into()));
        assert_eq!(discard(0), None);
    }

    #[test]
    fn a_text_is_clipped_at_a_character() {
        assert_eq!(clip("aé".into(), 3), "aé");
        assert_eq!(clip("aé".into(), 2), "a");
        assert_eq!(clip(String::new(), 0), "");
    }
}
