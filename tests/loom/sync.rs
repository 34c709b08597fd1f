//! loom's atomics in place of the standard library's, made to be tried in all orders.
//!
//! To loom two loads of one atomic are no reason to try their threads in both orders, and where a thread loads what it then
//! changes, orders are left out (tokio-rs/loom#166, #392): a reader was never tried behind a writer that had loaded first.
//! So every access takes a turn before it: a change of another atomic, relaxed, so that nothing more is seen by it.

pub(crate) use loom::sync::atomic::Ordering;
use loom::sync::atomic::{self, AtomicUsize};

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            value: atomic::$name,
            turn: AtomicUsize,
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                Self { value: atomic::$name::new(value), turn: AtomicUsize::new(0) }
            }

            fn in_turn(&self) -> &atomic::$name {
                self.turn.fetch_add(1, Ordering::Relaxed);
                &self.value
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.in_turn().load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.in_turn().store(value, order);
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.in_turn().compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_or(value, order)
            }

            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().fetch_sub(value, order)
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.in_turn().swap(value, order)
            }

            /// As the standard library's: loads, then tries until nobody came between.
            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut now = self.load(failure);
                while let Some(next) = change(now) {
                    match self.compare_exchange(now, next, success, failure) {
                        Ok(before) => return Ok(before),
                        Err(other) => now = other,
                    }
                }
                Err(now)
            }
        }
    };
}

atomic!(AtomicU8, u8);
atomic!(AtomicU64, u64);
