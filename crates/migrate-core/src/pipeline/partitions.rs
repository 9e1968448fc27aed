use std::sync::Arc;

use tokio::task::JoinSet;

use super::run::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::names::TableName;
use crate::plan::{PlanTable, RunConfig};
use crate::source::{KeyRange, Source};
use crate::state::{Checkpoint, Commit, PartitionId};

/// A part of a table, and what is durable of it.
pub(super) type Placed = (PartitionId, Checkpoint);

/// Rows that are worth a partition of their own: a table of fewer is read about as fast over one connection.
const ROWS: u64 = 50_000;

/// Partitions that a table of so many rows is cut into.
pub(crate) fn partition_count(run: &RunConfig, rows: Option<u64>) -> usize {
    let by_size = || usize::try_from(rows.unwrap_or(0) / ROWS).unwrap_or(usize::MAX).min(run.tables_in_parallel);
    run.partitions.unwrap_or_else(by_size).max(1)
}

/// The partitions of a table: those that a run has placed before, else new ones.
///
/// They are made durable one by one, in the order of their keys, before anything is copied. So where a run ended in
/// between, what is missing is what comes after the last of them.
pub(super) async fn place(shared: &Shared, table: &PlanTable, rows: Option<u64>) -> Result<Vec<Placed>> {
    let known = shared.state.partitions(&table.source).await?;
    let mut placed = in_order(&table.source, known)?;
    let ranges = match placed.last() {
        None => ranges(&*shared.source, &shared.plan.run, table, rows).await?,
        Some((last, _)) => match &last.range.upper {
            Some(upper) => vec![KeyRange { lower: Some(upper.clone()), upper: None }],
            None => Vec::new(),
        },
    };
    for range in ranges {
        let partition = PartitionId { table: table.source.clone(), range };
        let checkpoint = Checkpoint::default();
        shared.state.commit(Commit::place(&partition, &checkpoint)).await?;
        placed.push((partition, checkpoint));
    }
    Ok(placed)
}

/// Cuts a table of so many rows into the ranges that a run reads side by side.
pub(crate) async fn ranges(
    source: &dyn Source,
    run: &RunConfig,
    table: &PlanTable,
    rows: Option<u64>,
) -> Result<Vec<KeyRange>> {
    let ranges = source.partitions(table.read_from(), &table.key, partition_count(run, rows)).await?;
    require_whole(table.read_from(), &ranges)?;
    Ok(ranges)
}

/// Partitions from the first key on: only the source can compare keys, but each begins where another ends.
fn in_order(table: &TableName, mut known: Vec<Placed>) -> Result<Vec<Placed>> {
    let mut ordered: Vec<Placed> = Vec::with_capacity(known.len());
    while !known.is_empty() {
        let begin = ordered.last().and_then(|(last, _)| last.range.upper.as_ref());
        let is_whole = !ordered.is_empty() && begin.is_none();
        let next = known.iter().position(|(partition, _)| partition.range.lower.as_ref() == begin);
        match next {
            Some(next) if !is_whole => ordered.push(known.swap_remove(next)),
            _ => {
                return Err(Error::new(
                    ErrorKind::State,
                    "put the table's partitions in order: they do not fit together",
                )
                .with_context("table", table)
                .with_remedy("start anew with --fresh (writes are idempotent: nothing is doubled)"));
            }
        }
    }
    Ok(ordered)
}

/// Refuses ranges that leave rows out, or have them twice.
fn require_whole(table: &TableName, ranges: &[KeyRange]) -> Result<()> {
    let mut pairs = ranges.iter().zip(ranges.iter().skip(1));
    let fits = ranges.first().is_some_and(|first| first.lower.is_none())
        && ranges.last().is_some_and(|last| last.upper.is_none())
        && pairs.all(|(one, next)| one.upper.is_some() && one.upper == next.lower);
    if fits {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Protocol, "cut the table into partitions: the source's ranges do not follow one another")
        .with_context("table", table))
}

/// Does `work` on the partitions side by side, each in its turn among all that the run reads at once.
///
/// # Errors
/// The first error; the others finish what is on the way, commit it and stop.
pub(super) async fn side_by_side<F>(
    shared: &Arc<Shared>,
    partitions: Vec<Placed>,
    work: impl Fn(Arc<Shared>, PartitionId, Checkpoint) -> F,
) -> Result<Vec<Placed>>
where
    F: Future<Output = Result<Checkpoint>> + Send + 'static,
{
    let mut running: JoinSet<Result<Placed>> = JoinSet::new();
    for (partition, checkpoint) in partitions {
        let (shared, work) = (shared.clone(), work(shared.clone(), partition.clone(), checkpoint));
        running.spawn(async move {
            let turn = shared.readers.acquire().await;
            let _turn = turn.map_err(|_| Error::new(ErrorKind::Unexpected, "wait for a turn to read"))?;
            Ok((partition, work.await?))
        });
    }
    let (mut done, mut failure) = (Vec::new(), None::<Error>);
    while let Some(joined) = running.join_next().await {
        match joined.map_err(|_| Error::new(ErrorKind::Unexpected, "finish a partition's task")).flatten() {
            Ok(placed) => done.push(placed),
            Err(error) => {
                shared.stop.request();
                // An interruption is only what another partition's failure led to.
                if failure.as_ref().is_none_or(|known| known.kind() == ErrorKind::Interrupted) {
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(done), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(lower: Option<&str>, upper: Option<&str>) -> KeyRange {
        KeyRange { lower: lower.map(str::to_owned), upper: upper.map(str::to_owned) }
    }

    fn placed(ranges: &[KeyRange]) -> Vec<Placed> {
        let table: TableName = "t".parse().unwrap();
        let one =
            |range: &KeyRange| (PartitionId { table: table.clone(), range: range.clone() }, Checkpoint::default());
        ranges.iter().map(one).collect()
    }

    #[test]
    fn ranges_that_leave_rows_out_are_refused() {
        let table = "t".parse().unwrap();
        let whole = [range(None, Some("9")), range(Some("9"), Some("10")), range(Some("10"), None)];
        require_whole(&table, &whole).unwrap();
        require_whole(&table, &[KeyRange::all()]).unwrap();
        for broken in [
            &[][..],
            &whole[1..],
            &whole[..2],
            &[whole[0].clone(), whole[2].clone()],
            &[KeyRange::all(), KeyRange::all()],
        ] {
            assert_eq!(require_whole(&table, broken).unwrap_err().kind(), ErrorKind::Protocol, "{broken:?}");
        }
    }

    #[test]
    fn partitions_are_ordered_by_their_bounds() {
        let table = "t".parse().unwrap();
        // As texts, 10 comes before 9.
        let known = [range(None, Some("9")), range(Some("10"), None), range(Some("9"), Some("10"))];
        let ordered: Vec<_> = in_order(&table, placed(&known)).unwrap().into_iter().map(|(id, _)| id.range).collect();
        assert_eq!(ordered, [known[0].clone(), known[2].clone(), known[1].clone()]);
        for broken in [&known[1..], &[known[0].clone(), known[1].clone()]] {
            assert_eq!(in_order(&table, placed(broken)).unwrap_err().kind(), ErrorKind::State);
        }
    }

    #[test]
    fn a_table_is_cut_by_its_size_unless_the_settings_say() {
        let run = RunConfig { tables_in_parallel: 4, ..RunConfig::default() };
        let by_rows = |rows| partition_count(&run, rows);
        assert_eq!([None, Some(0), Some(99_999), Some(100_000), Some(10_000_000)].map(by_rows), [1, 1, 1, 2, 4]);
        assert_eq!(partition_count(&RunConfig { partitions: Some(9), ..run }, Some(1)), 9);
    }
}
