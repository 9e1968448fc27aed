//! The rows that are migrated again and again, and what must become of each, by SQL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::local_stack::{Error, Result, Supabase};

/// Is in the text of every row: it may be in documents and rejects, and nowhere else.
pub const CANARY: &str = "canary-5d1e";

/// The tables in the source, and in the sink.
pub const TABLES: [(&str, &str); 3] = [("people", "people"), ("orders", "orders"), ("order_lines", "orderLines")];

/// Rows of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows of `people`: each has the next one as its mentor, so that no order has every parent first.
    pub people: u32,
    /// Rows of `orders`.
    pub orders: u32,
    /// Rows of `order_lines`, whose key has two columns.
    pub lines: u32,
}

impl Size {
    /// 20,000 rows.
    pub const FULL: Self = Self { people: 3_000, orders: 7_000, lines: 10_000 };
    /// 600 rows, for a stand-in that runs the generated functions themselves and is slow.
    pub const SMALL: Self = Self { people: 120, orders: 180, lines: 300 };

    /// All rows.
    #[must_use]
    pub fn rows(self) -> u64 {
        u64::from(self.people) + u64::from(self.orders) + u64::from(self.lines)
    }
}

/// The tables with their rows. Every 101st person and every 97th order has a time that no document can hold: it is a
/// reject, an order of such a person and a line of such an order too, and the link to such a mentor is not set.
#[must_use]
pub fn sql(Size { people, orders, lines }: Size) -> String {
    format!(
        "
        create table people (
            id uuid primary key,
            name text not null,
            born_at timestamptz not null,
            mentor_id uuid references people (id)
        );
        create table orders (
            id bigint primary key,
            person_id uuid not null references people (id),
            note text not null,
            is_paid boolean not null,
            placed_at timestamptz not null
        );
        create table order_lines (
            order_id bigint not null references orders (id),
            position integer not null,
            label text not null,
            price double precision not null,
            primary key (order_id, position)
        );
        insert into people
        select
            md5('person ' || n)::uuid,
            'Person ' || n || ' {CANARY}',
            case when n % 101 = 0 then timestamptz 'infinity' else timestamptz '1980-01-01 00:00+00' + n * interval '1 h' end,
            case when n < {people} then md5('person ' || n + 1)::uuid end
        from generate_series(1, {people}) as n;
        insert into orders
        select
            n,
            md5('person ' || 1 + n * 7 % {people})::uuid,
            'Order ' || n || ' {CANARY} ' || repeat(md5('' || n), 1 + n % 5),
            n % 3 = 0,
            case when n % 97 = 0 then timestamptz 'infinity' else timestamptz '2024-01-01 00:00+00' + n * interval '1 minute' end
        from generate_series(1, {orders}) as n;
        insert into order_lines
        select 1 + n / 3 % {orders}, n, 'Line ' || n || ' {CANARY}', n / 4.0
        from generate_series(1, {lines}) as n;
        analyze people, orders, order_lines;"
    )
}

/// Rows that become no document, as conditions on each table.
const REJECTED: [&str; 3] = [
    "not isfinite(born_at)",
    "not isfinite(placed_at) or person_id in (select id from people where not isfinite(born_at))",
    "order_id in (
        select id from orders where not isfinite(placed_at)
        or person_id in (select id from people where not isfinite(born_at)))",
];

/// The documents as SQL sees them: the row's key, and the fields; `{\"row\": [table, key]}` is a reference.
const DOCUMENTS: [&str; 3] = [
    "select id::text, jsonb_strip_nulls(jsonb_build_object(
        'name', name, 'bornAt', extract(epoch from born_at) * 1000,
        'mentorId', case when mentor_id is not null
            and mentor_id not in (select id from people where not isfinite(born_at))
            then jsonb_build_object('row', jsonb_build_array('people', mentor_id::text)) end))
     from people",
    "select id::text, jsonb_build_object(
        'note', note, 'isPaid', is_paid, 'placedAt', extract(epoch from placed_at) * 1000,
        'personId', jsonb_build_object('row', jsonb_build_array('people', person_id::text)))
     from orders",
    "select '[\"' || order_id || '\",\"' || position || '\"]', jsonb_build_object(
        'position', position, 'label', label, 'price', price,
        'orderId', jsonb_build_object('row', jsonb_build_array('orders', order_id::text)))
     from order_lines",
];

/// What must be there in the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    documents: BTreeMap<&'static str, BTreeMap<String, Map<String, Value>>>,
    rejected: BTreeMap<&'static str, BTreeSet<String>>,
}

/// How documents and rejects differ from what must be there; all zero where they do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Differences {
    /// Rows that were compared.
    pub rows: u64,
    /// Rows that have neither the document nor the reject they must have.
    pub lost: u64,
    /// Documents over one for each row, and of rows that must have none.
    pub doubled: u64,
    /// Documents that are there once and have other fields than they must.
    pub different: u64,
}

impl Differences {
    /// True where nothing is lost, doubled or different.
    #[must_use]
    pub fn is_none(&self) -> bool {
        (self.lost, self.doubled, self.different) == (0, 0, 0)
    }

    /// Adds those of another comparison.
    pub fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.different += other.different;
    }
}

impl Expected {
    /// Asks Postgres, over a connection of its own.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn of(supabase: &Supabase) -> Result<Self> {
        let failed = |error: tokio_postgres::Error| Error::new(format!("failed to ask for the rows: {error}"));
        let client = supabase.client().await?;
        let (mut documents, mut rejected) = (BTreeMap::new(), BTreeMap::new());
        for (((source, sink), query), condition) in TABLES.into_iter().zip(DOCUMENTS).zip(REJECTED) {
            let rows = client.query(&format!("{query} where not ({condition})"), &[]).await.map_err(failed)?;
            let of_table = rows.iter().map(|row| {
                let fields: Value = row.try_get(1)?;
                Ok((row.try_get(0)?, fields.as_object().cloned().unwrap_or_default()))
            });
            documents.insert(sink, of_table.collect::<Result<_, tokio_postgres::Error>>().map_err(failed)?);
            let rows = client.query(&format!("{query} where {condition}"), &[]).await.map_err(failed)?;
            let keys = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)?;
            rejected.insert(source, keys);
        }
        Ok(Self { documents, rejected })
    }

    /// Rows that must be rejected.
    #[must_use]
    pub fn rejected(&self) -> usize {
        self.rejected.values().map(BTreeSet::len).sum()
    }

    /// Compares all documents of the sink, by table, and the keys of all rejected rows, by table.
    #[must_use]
    pub fn compare(&self, found: &BTreeMap<&str, Vec<Value>>, rejects: &BTreeMap<&str, Vec<String>>) -> Differences {
        let mut differences = Differences::default();
        let mut keys: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for (table, documents) in found {
            for document in documents {
                if let (Some(id), Some(key)) = (document["_id"].as_str(), document["supabaseId"].as_str()) {
                    keys.insert(id, (table, key));
                }
            }
        }
        for (table, expected) in &self.documents {
            let mut seen: BTreeSet<&str> = BTreeSet::new();
            for document in found.get(table).into_iter().flatten() {
                let key = document["supabaseId"].as_str().unwrap_or_default();
                match expected.get(key) {
                    Some(fields) if seen.insert(key) => {
                        differences.different += u64::from(!same(fields, document, &keys));
                    }
                    _ => differences.doubled += 1,
                }
            }
            differences.rows += count(expected.len());
            differences.lost += count(expected.len() - seen.len());
        }
        for (table, expected) in &self.rejected {
            let kept = rejects.get(table).into_iter().flatten();
            let kept: BTreeSet<&String> = kept.collect();
            differences.rows += count(expected.len());
            differences.lost += count(expected.iter().filter(|key| !kept.contains(key)).count());
        }
        differences
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// The same fields, no more and no fewer, numbers by their value and references by the row they lead to.
fn same(expected: &Map<String, Value>, document: &Value, keys: &BTreeMap<&str, (&str, &str)>) -> bool {
    let Some(document) = document.as_object() else { return false };
    let own = document.iter().filter(|(name, _)| !matches!(&***name, "_id" | "_creationTime" | "supabaseId"));
    let equal = |expected: &Value, found: &Value| match expected {
        Value::Number(number) => found.as_f64() == number.as_f64(),
        Value::Object(_) => {
            let row = found.as_str().and_then(|id| keys.get(id));
            row.is_some_and(|(table, key)| *expected == json!({ "row": [table, key] }))
        }
        other => other == found,
    };
    let mut fields = 0;
    own.inspect(|_| fields += 1).all(|(name, found)| expected.get(name).is_some_and(|wanted| equal(wanted, found)))
        && fields == expected.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        let person = |name: &str| json!({ "name": name, "bornAt": 5 }).as_object().unwrap().clone();
        let mut second = person("b");
        second.insert("mentorId".to_owned(), json!({ "row": ["people", "1"] }));
        let people = BTreeMap::from([("1".to_owned(), person("a")), ("2".to_owned(), second)]);
        Expected {
            documents: BTreeMap::from([("people", people)]),
            rejected: BTreeMap::from([("people", BTreeSet::from(["3".to_owned()]))]),
        }
    }

    fn documents() -> Vec<Value> {
        vec![
            json!({ "_id": "x", "_creationTime": 1.5, "supabaseId": "1", "name": "a", "bornAt": 5.0 }),
            json!({ "_id": "y", "_creationTime": 2.5, "supabaseId": "2", "name": "b", "bornAt": 5.0, "mentorId": "x" }),
        ]
    }

    fn compared(documents: Vec<Value>, rejects: &[&str]) -> (u64, u64, u64) {
        let rejects = BTreeMap::from([("people", rejects.iter().map(|&key| key.to_owned()).collect())]);
        let found = expected().compare(&BTreeMap::from([("people", documents)]), &rejects);
        assert_eq!(found.rows, 3);
        (found.lost, found.doubled, found.different)
    }

    #[test]
    fn every_kind_of_difference_is_counted() {
        assert_eq!(compared(documents(), &["3"]), (0, 0, 0));
        assert_eq!(compared(documents(), &[]), (1, 0, 0), "a reject is lost");
        assert_eq!(compared(documents()[..1].to_vec(), &["3"]), (1, 0, 0), "a document is lost");
        let mut doubled = documents();
        doubled.push(doubled[0].clone());
        assert_eq!(compared(doubled, &["3"]), (0, 1, 0));
        let mut other = documents();
        other.push(json!({ "_id": "z", "supabaseId": "3", "name": "c", "bornAt": 5.0 }));
        assert_eq!(compared(other, &["3"]), (0, 1, 0), "a rejected row has a document");
        for (field, value) in [
            ("name", json!("c")),
            ("bornAt", json!(6.0)),
            ("mentorId", json!("y")),
            ("mentorId", json!("gone")),
            ("extra", json!(null)),
        ] {
            let mut changed = documents();
            changed[1][field] = value;
            assert_eq!(compared(changed, &["3"]), (0, 0, 1), "{field}");
        }
        let mut unlinked = documents();
        unlinked[1].as_object_mut().unwrap().remove("mentorId");
        assert_eq!(compared(unlinked, &["3"]), (0, 0, 1), "a link is lost");
    }
}
