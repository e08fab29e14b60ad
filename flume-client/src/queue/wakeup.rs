//! Waking callers: what runs then is code of theirs, on the client's threads.
//!
//! A panic in it is the caller's: the panic hook has told of it, and the client goes on.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::own_thread;

/// Wakes these, one after the other. Hold no lock.
pub(crate) fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(|waker| call(|| waker.wake()));
}

/// Calls foreign code. Hold no lock.
pub(crate) fn call(foreign: impl FnOnce()) {
    let called = AssertUnwindSafe(|| own_thread::run_as(false, foreign));
    if let Err(payload) = catch_unwind(called) {
        let_go(payload);
    }
}

/// Drops a panic's payload. If that panics too, the second payload is leaked.
fn let_go(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
}
