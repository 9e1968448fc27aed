use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, ErrorKind};

/// Calls that must go well, one after the other, before one more is let through at once.
const GOOD_CALLS: u32 = 32;

/// Decides how many of a limit's slots are in use: half as many after an overload, and one more after a while without.
#[derive(Debug)]
pub(super) struct Adapt {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    allowed: usize,
    /// Slots to take away as soon as the calls that have them end.
    owed: usize,
    good: u32,
}

impl Adapt {
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Mutex::new(State { allowed: most, owed: 0, good: 0 }) }
    }

    /// Gives back the slot of a call that ended so.
    pub(super) fn settle(&self, slots: &Semaphore, slot: SemaphorePermit<'_>, error: Option<&Error>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match error.map(Error::kind) {
            // The other side has no room, or the network none: nothing else says that fewer calls would help.
            Some(ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::TimedOut) => {
                let fewer = (state.allowed / 2).max(1);
                let taken = state.allowed - fewer;
                state.owed += taken - slots.forget_permits(taken);
                state.allowed = fewer;
                state.good = 0;
            }
            Some(_) => {}
            None => {
                state.good += 1;
                if state.good >= GOOD_CALLS && state.allowed < self.most {
                    state.good = 0;
                    state.allowed += 1;
                    if state.owed > 0 { state.owed -= 1 } else { slots.add_permits(1) }
                }
            }
        }
        if state.owed > 0 {
            state.owed -= 1;
            slot.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn call(adapt: &Adapt, slots: &Semaphore, error: Option<ErrorKind>) {
        let error = error.map(|kind| Error::new(kind, "read"));
        adapt.settle(slots, slots.acquire().await.unwrap(), error.as_ref());
    }

    #[tokio::test]
    async fn an_overload_halves_the_calls_and_good_ones_bring_them_back() {
        let (slots, adapt) = (Semaphore::new(8), Adapt::new(8));
        // Three calls are under way when one of them is refused: half of the slots go, two of them when the others end.
        let others = [slots.acquire().await.unwrap(), slots.acquire().await.unwrap()];
        let unavailable = Error::new(ErrorKind::RateLimited, "read");
        let held: Vec<_> =
            [slots.acquire().await.unwrap(), slots.acquire().await.unwrap(), slots.acquire().await.unwrap()].into();
        adapt.settle(&slots, slots.acquire().await.unwrap(), Some(&unavailable));
        for slot in others.into_iter().chain(held) {
            adapt.settle(&slots, slot, None);
        }
        assert_eq!(slots.available_permits(), 4);
        for _ in 0..5 {
            call(&adapt, &slots, Some(ErrorKind::Unavailable)).await;
        }
        assert_eq!(slots.available_permits(), 1, "never none");
        call(&adapt, &slots, Some(ErrorKind::Forbidden)).await;
        assert_eq!(slots.available_permits(), 1);
        for _ in 0..GOOD_CALLS * 10 {
            call(&adapt, &slots, None).await;
        }
        assert_eq!(slots.available_permits(), 8, "never more than at first");
    }
}
