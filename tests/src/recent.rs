//! A log of what came last.

use std::collections::VecDeque;

/// Entries that are kept.
const KEPT: usize = 10_000;

/// The last 10,000 entries of a log: a server that is asked for hours does not grow by what it was asked.
#[derive(Debug)]
pub(crate) struct Recent<T>(VecDeque<T>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Recent<T> {
    /// Adds an entry, and forgets the oldest one where there are too many.
    pub(crate) fn push(&mut self, entry: T) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }

    /// The entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> From<Recent<T>> for Vec<T> {
    fn from(Recent(entries): Recent<T>) -> Self {
        entries.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_are_forgotten() {
        let mut log = Recent::default();
        (0..KEPT + 3).for_each(|entry| log.push(entry));
        assert_eq!(log.iter().next(), Some(&3));
        let all: Vec<usize> = log.into();
        assert_eq!((all.len(), all.last()), (KEPT, Some(&(KEPT + 2))));
    }
}
