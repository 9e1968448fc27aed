use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind, Result};

/// Places for calls, whose number follows what the other side bears: one more after as many answers as there are places,
/// half of them when it asks for less.
///
/// Calls that were begun before a cut do not cut again: they tell of the same overload.
#[derive(Debug)]
pub(super) struct Slots {
    free: Semaphore,
    width: Mutex<Width>,
}

#[derive(Debug)]
struct Width {
    /// Places now.
    now: usize,
    /// Places at most.
    most: usize,
    /// Places that are taken and will not be free again.
    surplus: usize,
    /// Answers since the last change.
    answers: usize,
    /// Counts the cuts.
    cuts: u64,
}

/// A place that is held by one call.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    slots: &'a Slots,
    cuts: u64,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            free: Semaphore::new(most),
            width: Mutex::new(Width { now: most, most, surplus: 0, answers: 0, cuts: 0 }),
        }
    }

    fn width(&self) -> MutexGuard<'_, Width> {
        self.width.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls may be on the way now.
    pub(super) fn now(&self) -> usize {
        self.width().now
    }

    /// Waits for a place, in the order of asking.
    pub(super) async fn take(&self) -> Result<Slot<'_>> {
        let place = self.free.acquire().await;
        place.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a free place"))?.forget();
        Ok(Slot { slots: self, cuts: self.width().cuts })
    }
}

impl Slot<'_> {
    /// Tells how the call ended.
    pub(super) fn observe<T>(&self, result: &Result<T>) {
        let mut width = self.slots.width();
        match result {
            Ok(_) => width.widen(&self.slots.free),
            Err(error) if is_overload(error.kind()) && self.cuts == width.cuts => width.cut(&self.slots.free),
            Err(_) => {}
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut width = self.slots.width();
        match width.surplus.checked_sub(1) {
            Some(surplus) => width.surplus = surplus,
            None => self.slots.free.add_permits(1),
        }
    }
}

impl Width {
    fn widen(&mut self, free: &Semaphore) {
        self.answers += 1;
        if self.now == self.most || self.answers < self.now {
            return;
        }
        self.answers = 0;
        self.now += 1;
        match self.surplus.checked_sub(1) {
            Some(surplus) => self.surplus = surplus,
            None => free.add_permits(1),
        }
    }

    fn cut(&mut self, free: &Semaphore) {
        let narrower = (self.now / 2).max(1);
        let removed = self.now - narrower;
        self.surplus += removed - free.forget_permits(removed);
        self.now = narrower;
        self.answers = 0;
        self.cuts += 1;
    }
}

/// True for what goes away when fewer calls come at once.
fn is_overload(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overload() -> Result<()> {
        Err(Error::new(ErrorKind::RateLimited, "write so fast"))
    }

    async fn answered(slots: &Slots, times: usize) {
        for _ in 0..times {
            slots.take().await.unwrap().observe(&Ok(()));
        }
    }

    #[tokio::test]
    async fn half_of_the_places_go_at_once_and_come_back_one_by_one() {
        let slots = Slots::new(8);
        slots.take().await.unwrap().observe(&overload());
        assert_eq!((slots.now(), slots.free.available_permits()), (4, 4));
        answered(&slots, 3).await;
        assert_eq!(slots.now(), 4);
        answered(&slots, 1).await;
        assert_eq!((slots.now(), slots.free.available_permits()), (5, 5));
        answered(&slots, 5 + 6 + 7).await;
        assert_eq!(slots.now(), 8);
        answered(&slots, 100).await;
        assert_eq!((slots.now(), slots.free.available_permits()), (8, 8), "never more than at first");
    }

    #[tokio::test]
    async fn calls_of_one_overload_cut_once_and_their_places_are_not_given_out_again() {
        let slots = Slots::new(4);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(slots.take().await.unwrap());
        }
        for slot in &held {
            slot.observe(&overload());
        }
        assert_eq!(slots.now(), 2);
        held.pop();
        held.pop();
        assert_eq!(slots.free.available_permits(), 0, "the places of two calls are gone");
        held.clear();
        assert_eq!(slots.free.available_permits(), 2);
        for expected in [1, 1] {
            slots.take().await.unwrap().observe(&overload());
            assert_eq!((slots.now(), slots.free.available_permits()), (expected, expected), "one place always stays");
        }
    }

    #[tokio::test]
    async fn other_errors_change_nothing() {
        let slots = Slots::new(4);
        slots.take().await.unwrap().observe::<()>(&Err(Error::new(ErrorKind::RecordFailed, "write")));
        assert_eq!(slots.now(), 4);
    }
}
