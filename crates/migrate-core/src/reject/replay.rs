use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::lines::{Line, check, lines};
use super::{Reject, RejectSource};
use crate::catalog::{Catalog, TableSchema};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{SourceKey, TableName};
use crate::plan::{Plan, PlanTable};
use crate::source::{KeyRange, Source};
use crate::state::{Commit, PartitionId, Progress, StateStore};

/// Rejects that are looked at together.
const STEP: usize = 500;

/// Which rejects a replay takes up, and where their rows come from. [`crate::Pipeline::replay`] runs it.
#[derive(Debug)]
pub struct Replay {
    catalog: Catalog,
    refetch: bool,
    keys: HashMap<TableName, Arc<[SourceKey]>>,
    /// The fingerprint of the plan before this one, where the plan was mended. Rows that are migrated stay as that plan
    /// made them.
    pub mended_plan: Option<String>,
    /// Rejects that the replay takes up.
    pub taken_up: u64,
    /// Rejects without a line in their file, which stay as they are.
    pub left: u64,
    /// Lines of rows that are no longer rejected.
    pub passed: u64,
}

impl Replay {
    /// Takes up the rejects with a line in the file that `file` names for their table, with the row as the line has it.
    /// Where there is no file, all of the table, as they were read.
    ///
    /// Every line is read before anything changes. Then the state is tied to `plan`, and keeps the rows as mended.
    ///
    /// # Errors
    /// `Config` with file, line and column for a line that cannot be read by the types in `catalog`; `State` for a plan
    /// that is of other tables or keys than the run's, and for a run whose links are half set.
    pub async fn mended(
        state: &dyn StateStore,
        plan: &Plan,
        catalog: Catalog,
        file: impl Fn(&TableName) -> PathBuf,
    ) -> Result<Self> {
        let mut replay = Self::new(state, plan, catalog, false).await?;
        for table in &plan.tables {
            let rejects = listed(state, &table.source).await?;
            let schema = replay.schema(table)?;
            let keys = match lines(&file(&table.source))? {
                Some(lines) => {
                    let (keys, passed) = check_lines(state, table, schema, lines).await?;
                    replay.passed += passed;
                    keys
                }
                None => rejects.clone(),
            };
            replay.left += count(rejects.len()) - count(keys.len());
            replay.take_up(table, keys);
        }
        bind(state, plan).await?;
        for table in &plan.tables {
            if let Some(lines) = lines(&file(&table.source))? {
                keep_lines(state, table, lines).await?;
            }
        }
        Ok(replay)
    }

    /// Takes up all rejects, with their rows as the source has them now.
    ///
    /// # Errors
    /// `State` as for [`Replay::mended`]; `Config` for rejects of a table whose rows the source cannot find again.
    pub async fn refetched(state: &dyn StateStore, plan: &Plan, catalog: Catalog) -> Result<Self> {
        let mut replay = Self::new(state, plan, catalog, true).await?;
        for table in &plan.tables {
            let keys = listed(state, &table.source).await?;
            let row_key = replay.schema(table)?.row_key();
            // A row that was mended has another place, and another row may have its own.
            let is_found = matches!(&row_key, crate::catalog::RowKey::Columns(columns) if *columns == table.key);
            if !keys.is_empty() && !is_found {
                return Err(Error::new(
                    ErrorKind::Config,
                    "read rejected rows anew: the table has no key to find them by",
                )
                .with_context("table", &table.source)
                .with_remedy("mend the rows in the reject file, and leave --refetch out"));
            }
            replay.take_up(table, keys);
        }
        bind(state, plan).await?;
        Ok(replay)
    }

    async fn new(state: &dyn StateStore, plan: &Plan, catalog: Catalog, refetch: bool) -> Result<Self> {
        let mended_plan = accept(state, plan).await?;
        Ok(Self { catalog, refetch, keys: HashMap::new(), mended_plan, taken_up: 0, left: 0, passed: 0 })
    }

    fn take_up(&mut self, table: &PlanTable, keys: Vec<SourceKey>) {
        self.taken_up += count(keys.len());
        self.keys.insert(table.source.clone(), keys.into());
    }

    fn schema(&self, table: &PlanTable) -> Result<&TableSchema> {
        self.catalog.table(table.read_from()).ok_or_else(|| {
            Error::new(ErrorKind::Config, "find the table in the catalog")
                .with_context("table", table.read_from())
                .with_remedy("run: migrate-discover, then migrate-plan")
        })
    }

    /// The rejects of a part of a table as a source: of rows that are not migrated, or of links that are not set.
    pub(crate) fn source(
        &self,
        table: &Arc<PlanTable>,
        range: &KeyRange,
        links: bool,
        inner: Arc<dyn Source>,
        state: Arc<dyn StateStore>,
    ) -> Result<RejectSource> {
        let keys = self.keys.get(&table.source).cloned().unwrap_or_default();
        let refetched = self.refetch.then_some(inner);
        Ok(RejectSource::new(table.clone(), self.schema(table)?.clone(), keys, range.clone(), links, refetched, state))
    }

    /// Whether there is anything of a table to replay.
    pub(crate) fn has(&self, table: &TableName) -> bool {
        self.keys.get(table).is_some_and(|keys| !keys.is_empty())
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// Compares the plan with the one that the state is of. Gives that one's fingerprint, where it is another.
async fn accept(state: &dyn StateStore, plan: &Plan) -> Result<Option<String>> {
    let Some(bound) = state.bound().await? else {
        return Err(Error::new(ErrorKind::State, "replay a run that has not begun").with_remedy("run: migrate-run"));
    };
    if bound.fingerprint == plan.fingerprint {
        return Ok(None);
    }
    let lines = match (&bound.identity, plan.bound().identity) {
        (Some(was), Some(is)) => was.differences(&is),
        _ => vec!["the state does not tell that plan's tables and keys".to_owned()],
    };
    if lines.is_empty() {
        return Ok(Some(bound.fingerprint));
    }
    Err(Error::new(
        ErrorKind::State,
        format!(
            "replay by another plan: the state is of plan {}, this is plan {}: {}",
            bound.fingerprint,
            plan.fingerprint,
            lines.join("; ")
        ),
    )
    .with_remedy("plan the same tables and keys again, or start anew: migrate-run --fresh (nothing is doubled)"))
}

/// Ties the state to the plan, so that a run can go on by it; refuses a run that stopped in its second pass.
async fn bind(state: &dyn StateStore, plan: &Plan) -> Result<()> {
    state.rebind(&plan.bound()).await?;
    for table in &plan.tables {
        let partitions = state.partitions(&table.source).await?;
        if partitions.iter().any(|(_, checkpoint)| matches!(checkpoint.progress, Progress::Linking { .. })) {
            return Err(Error::new(ErrorKind::State, "replay a run that stopped while it set links")
                .with_context("table", &table.source)
                .with_remedy("run migrate-run to its end first"));
        }
    }
    Ok(())
}

/// The keys of a table's rejects, in the order they came.
async fn listed(state: &dyn StateStore, table: &TableName) -> Result<Vec<SourceKey>> {
    let mut keys: Vec<SourceKey> = Vec::new();
    loop {
        let rejects = state.rejects(table, count(keys.len()), STEP).await?;
        if rejects.is_empty() {
            return Ok(keys);
        }
        keys.extend(rejects.into_iter().map(|reject| reject.key));
    }
}

/// The next lines with the rejects that they are of; `None` at the end.
async fn next_lines(
    state: &dyn StateStore,
    table: &TableName,
    lines: &mut impl Iterator<Item = Result<Line>>,
) -> Result<Option<Vec<(Line, Option<Reject>)>>> {
    let some: Vec<Line> = lines.take(STEP).collect::<Result<_>>()?;
    if some.is_empty() {
        return Ok(None);
    }
    let keys: Vec<SourceKey> = some.iter().map(|line| line.key.clone()).collect();
    Ok(Some(some.into_iter().zip(state.rejected(table, &keys).await?).collect()))
}

/// The keys of lines that are of rejects, and how many are of none.
async fn check_lines(
    state: &dyn StateStore,
    table: &PlanTable,
    schema: &TableSchema,
    mut lines: impl Iterator<Item = Result<Line>>,
) -> Result<(Vec<SourceKey>, u64)> {
    let (mut keys, mut seen, mut passed) = (Vec::new(), HashSet::new(), 0);
    while let Some(some) = next_lines(state, &table.source, &mut lines).await? {
        for (line, reject) in some {
            if !seen.insert(line.key.clone()) {
                return Err(Error::new(ErrorKind::Config, "read a rejected row: its key is in the file twice")
                    .with_context("file", &line.at)
                    .with_remedy("delete one of the lines"));
            }
            match reject {
                Some(reject) => {
                    check(&line, &reject, table, schema)?;
                    keys.push(line.key);
                }
                None => passed += 1,
            }
        }
    }
    Ok((keys, passed))
}

/// Keeps the rows as they were mended, so that neither a kill nor a reject of the same row loses them.
async fn keep_lines(
    state: &dyn StateStore,
    table: &PlanTable,
    mut lines: impl Iterator<Item = Result<Line>>,
) -> Result<()> {
    while let Some(some) = next_lines(state, &table.source, &mut lines).await? {
        let mut mended: HashMap<KeyRange, Vec<Reject>> = HashMap::new();
        for (line, reject) in some {
            let Some(reject) = reject else { continue };
            let record = serde_json::Value::Object(line.record);
            if record != reject.record {
                let range = reject.counted.range.clone();
                mended.entry(range).or_default().push(Reject { record, ..reject });
            }
        }
        for (range, rejects) in mended {
            let partition = PartitionId { table: table.source.clone(), range };
            let checkpoint = state.load(&partition).await?.unwrap_or_default();
            state.commit(Commit { rejects: &rejects, ..Commit::place(&partition, &checkpoint) }).await?;
        }
    }
    Ok(())
}
