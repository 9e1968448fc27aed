//! Floors: what reading costs at least, with every byte thrown away as it comes.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;

use futures::{StreamExt as _, TryStreamExt as _, future};
use tokio_postgres::NoTls;

use super::child::{counted, this_program};
use crate::large_table::LargeTable;
use crate::local_stack::{Error, Result, find_program};
use crate::measured::Measured;

/// Rows of a page, which is the cap of hosted projects.
const PAGE_ROWS: u32 = 1_000;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Floor {
    RowToJson,
    CopyBinary,
    Postgrest,
}

/// Reads `orders` once, and proves that all of it came. The note tells what other ways took.
pub(super) async fn run(floor: Floor, table: &LargeTable, folder: &Path) -> Result<(Measured, Option<String>)> {
    match floor {
        Floor::RowToJson => {
            let copied = "(select row_to_json(orders) from orders)";
            Ok((copy(table, folder, copied, "text", 0).await?, None))
        }
        Floor::CopyBinary => Ok((copy(table, folder, "orders", "binary", 1).await?, None)),
        Floor::Postgrest => {
            let one = pages(table, folder, 1).await?;
            let two = pages(table, folder, 2).await?;
            let [first, second] = [one, two].map(|measured| measured.elapsed.as_secs_f64());
            let note = format!("one connection {first:.1} s, two key ranges {second:.1} s");
            Ok((if first <= second { one } else { two }, Some(note)))
        }
    }
}

/// By psql where the machine has it, as anyone would measure it; else by this program.
async fn copy(table: &LargeTable, folder: &Path, copied: &str, format: &str, besides: u64) -> Result<Measured> {
    let url = table.supabase().database_url();
    let (command, answer) = if let Some(psql) = find_program("psql") {
        let mut command = Command::new(psql);
        let copy = format!("\\copy {copied} to '/dev/null' (format {format})");
        command.args(["--no-psqlrc", "-d"]).arg(url).arg("-c").arg(copy);
        (command, format!("COPY {}", table.orders()))
    } else {
        let mut command = this_program()?;
        let copy = format!("copy {copied} to stdout (format {format})");
        command.arg("throw-away-copy").arg(copy).arg(format!("--besides={besides}")).env("SUPABASE_DB_URL", url);
        (command, table.orders().to_string())
    };
    counted(command, folder, &answer).await
}

async fn pages(table: &LargeTable, folder: &Path, parts: usize) -> Result<Measured> {
    let keys = write_keys(table, folder).await?;
    let mut command = this_program()?;
    command.arg("throw-away-pages").arg(table.supabase().url()).arg(&keys).arg(format!("--parts={parts}"));
    command.env("SUPABASE_SECRET_KEY", table.supabase().secret_key());
    counted(command, folder, &table.orders().to_string()).await
}

async fn write_keys(table: &LargeTable, folder: &Path) -> Result<PathBuf> {
    let keys = folder.join("keys");
    let lines = table.every(PAGE_ROWS).await?.join("\n");
    fs::write(&keys, lines).map_err(|error| Error::new(format!("failed to write the pages' keys: {error}")))?;
    Ok(keys)
}

/// The number of messages: Postgres sends one for each row, and one for the end of a binary copy.
pub(super) async fn throw_copy_away(url: &str, statement: &str) -> Result<u64> {
    let failed = |error: tokio_postgres::Error| Error::new(format!("failed to copy: {error}"));
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(failed)?;
    tokio::spawn(connection);
    let mut messages = pin!(client.copy_out(statement).await.map_err(failed)?);
    let mut count = 0;
    while messages.try_next().await.map_err(failed)?.is_some() {
        count += 1;
    }
    Ok(count)
}

pub(super) async fn throw_pages_away(url: &str, secret: &str, keys: &Path, parts: usize) -> Result<u64> {
    let failed = |error: &dyn std::fmt::Display| Error::new(format!("failed to read pages: {error}"));
    let client = reqwest::Client::builder().no_proxy().build().map_err(|error| failed(&error))?;
    let keys = fs::read_to_string(keys).map_err(|error| failed(&error))?;
    let address = format!("{url}/rest/v1/orders?select=*&order=id&limit={PAGE_ROWS}");
    let after = keys.lines().map(|key| format!("{address}&id=gt.{key}"));
    let pages: Vec<String> = std::iter::once(address.clone()).chain(after).collect();
    let read = async |pages: &[String]| -> reqwest::Result<u64> {
        let mut rows = 0;
        for page in pages {
            let answer = client.get(page).header("apikey", secret).send().await?.error_for_status()?;
            let range = answer.headers().get("content-range").and_then(|range| range.to_str().ok());
            rows += range.and_then(rows_in).unwrap_or_default();
            let mut body = answer.bytes_stream();
            while let Some(chunk) = body.next().await {
                chunk?;
            }
        }
        Ok(rows)
    };
    let parts = pages.chunks(pages.len().div_ceil(parts.max(1))).map(read);
    Ok(future::try_join_all(parts).await.map_err(|error| failed(&error.without_url()))?.into_iter().sum())
}

/// Rows of a page whose `Content-Range` is such as `0-999/*`; of an empty page, `*/*`.
fn rows_in(range: &str) -> Option<u64> {
    let (first, last) = range.split_once('/')?.0.split_once('-')?;
    Some(last.parse::<u64>().ok()? - first.parse::<u64>().ok()? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn every_way_to_read_sees_every_row() {
        let folder = tempfile::tempdir().unwrap();
        let table = LargeTable::start(2_500).await.unwrap();
        let copied = "(select row_to_json(orders) from orders)";
        // By psql, where there is one: it tells the number by itself.
        if find_program("psql").is_some() {
            copy(&table, folder.path(), copied, "text", 0).await.unwrap();
            copy(&table, folder.path(), "orders", "binary", 1).await.unwrap();
        }
        let url = table.supabase().database_url();
        let json = format!("copy {copied} to stdout (format text)");
        assert_eq!(throw_copy_away(&url, &json).await.unwrap(), 2_500);
        assert_eq!(throw_copy_away(&url, "copy orders to stdout (format binary)").await.unwrap(), 2_501);
        let keys = write_keys(&table, folder.path()).await.unwrap();
        let (url, secret) = (table.supabase().url(), table.supabase().secret_key());
        for parts in [1, 2, 7] {
            assert_eq!(throw_pages_away(url, secret, &keys, parts).await.unwrap(), 2_500, "{parts} parts");
        }
    }

    #[test]
    fn rows_are_counted_by_the_range_of_a_page() {
        assert_eq!(rows_in("0-999/*"), Some(1_000));
        assert_eq!(rows_in("7-7/8"), Some(1));
        assert_eq!(rows_in("*/*"), None);
    }
}
