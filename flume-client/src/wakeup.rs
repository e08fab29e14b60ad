//! Waking callers: what runs then is code of theirs, on the client's threads.
//!
//! A panic in it is the caller's: the panic hook has told of it, and the client goes on.

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

thread_local! {
    static IS_OF_A_CLIENT: Cell<bool> = const { Cell::new(false) };
}

/// Wakes these, one after the other. Hold no lock.
pub(crate) fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(|waker| call(|| waker.wake()));
}

/// Calls foreign code. Hold no lock.
pub(crate) fn call(foreign: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(foreign)) {
        let_go(payload);
    }
}

/// Says that this thread is one of a client: it waits for no client's end.
pub(crate) fn enter_thread_of_a_client() {
    IS_OF_A_CLIENT.set(true);
}

/// Whether this thread is one of a client. Callers' code runs on those when they are woken.
pub(crate) fn is_thread_of_a_client() -> bool {
    IS_OF_A_CLIENT.get()
}

/// What a panic carries may panic when it is dropped; what that one carries is leaked.
fn let_go(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(again);
    }
}
