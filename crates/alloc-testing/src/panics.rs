//! What a panic said.
#![forbid(unsafe_code)]

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns the message of a panic; empty if it was no text.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    text(payload).unwrap_or_default().to_owned()
}

/// Returns the message of a panic that was caught, and drops it.
pub(crate) fn take(payload: Box<dyn Any + Send>) -> String {
    let message = message(&*payload);
    drop_payload(payload);
    message
}

/// Returns a line about a panic of which only this is known.
pub(crate) fn told(payload: &(dyn Any + Send)) -> String {
    match text(payload) {
        Some(text) => format!("panicked: {text}\n"),
        None => "panicked with a value that is no text\n".to_owned(),
    }
}

/// Drops what a panic carried, which may panic in turn: that unwinds no further, and is kept for good.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        let _kept = ManuallyDrop::new(next);
    }
}

fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}
