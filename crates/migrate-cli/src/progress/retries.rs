//! What is told of calls that are repeated: under load there are thousands, and each says the same.

use std::collections::HashMap;
use std::time::Duration;

use migrate_core::names::TableName;

/// The same is told again no earlier.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// When each kind of repeat was told, and how many came since.
#[derive(Debug, Default)]
pub(super) struct Retries(HashMap<(String, String), (Duration, u64)>);

impl Retries {
    /// The line for a repeat; none where its kind was told of late.
    pub(super) fn note(
        &mut self,
        at: Duration,
        operation: &str,
        table: Option<&TableName>,
        attempt: usize,
        delay: Duration,
        code: &str,
    ) -> Option<String> {
        let mut untold = 0;
        if let Some((told, since)) = self.0.get_mut(&(operation.to_owned(), code.to_owned())) {
            if at.saturating_sub(*told) < AGAIN_AFTER {
                *since += 1;
                return None;
            }
            untold = *since;
        }
        self.0.insert((operation.to_owned(), code.to_owned()), (at, 0));
        let table = table.map(|table| format!(" {table}")).unwrap_or_default();
        let more = if untold > 0 { format!("; {untold} more like it since the last line") } else { String::new() };
        Some(format!(
            "{operation}{table}: attempt {attempt} failed ({code}), again in {:.1} s{more}",
            delay.as_secs_f64()
        ))
    }
}
