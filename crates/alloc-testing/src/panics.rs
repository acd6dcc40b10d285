//! What a panic said.
#![forbid(unsafe_code)]

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is said of a panic's value that is no text.
const NO_TEXT: &str = "a value that is no text";

/// Returns the message of a panic; empty if it was no text.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    text(payload).unwrap_or_default().to_owned()
}

/// Returns the message of a panic, or words that say that there is none.
pub(crate) fn shown(payload: &(dyn Any + Send)) -> &str {
    text(payload).unwrap_or(NO_TEXT)
}

/// Returns the message of a panic that was caught, and drops it.
pub(crate) fn take(payload: Box<dyn Any + Send>) -> String {
    let message = message(&*payload);
    drop_payload(payload);
    message
}

/// Returns the message of a panic in quotes, or that it has none.
pub(crate) fn quoted(payload: &(dyn Any + Send)) -> String {
    text(payload).map_or_else(|| NO_TEXT.to_owned(), |text| format!("{text:?}"))
}

/// Returns a line about a panic of which only this is known.
pub(crate) fn told(payload: &(dyn Any + Send)) -> String {
    match text(payload) {
        Some(text) => format!("panicked: {text}\n"),
        None => format!("panicked with {NO_TEXT}\n"),
    }
}

/// Drops what a panic carried, which may panic in turn: that unwinds no further, and is kept for good.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        let _kept = ManuallyDrop::new(next);
    }
}

/// Returns what a harness may drop: it does so where a panic in that drop would leave it waiting for ever.
pub(crate) fn harmless(payload: Box<dyn Any + Send>) -> Box<dyn Any + Send> {
    if text(&*payload).is_some() {
        return payload;
    }
    let shown = shown(&*payload).to_owned();
    drop_payload(payload);
    Box::new(shown)
}

fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text stays what it is; of another value, which may panic when it is dropped, words are left.
    #[test]
    fn what_a_harness_drops_is_harmless() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("in the drop of a panic's value");
            }
        }
        for (payload, words) in [
            (Box::new("text") as Box<dyn Any + Send>, "\"text\""),
            (Box::new(Bomb), "\"a value that is no text\""),
        ] {
            assert_eq!(quoted(&*harmless(payload)), words);
        }
        assert_eq!(quoted(&7), "a value that is no text");
    }
}
