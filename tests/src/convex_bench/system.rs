//! The system functions that a client may call without having deployed anything
//! (convex-backend, `npm-packages/system-udfs/convex/_system`).

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    functions::{Failure, FunctionPath},
    protocol::Format,
    server::MutableState,
};

/// Tables of the deployment itself whose ids documents may have.
const SYSTEM_TABLES: [(u32, &str); 2] = [(540, "_file_storage"), (541, "_scheduled_functions")];

/// A system query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemQuery {
    TableMapping,
    Tables,
    TableSize,
    TableData,
    QueryImport,
    ListImports,
}

impl SystemQuery {
    /// The query at a path.
    pub(super) fn of(path: &FunctionPath) -> Option<Self> {
        match (path.module, path.name) {
            ("_system/frontend/getTableMapping", "default") => Some(Self::TableMapping),
            ("_system/cli/tables", "default") => Some(Self::Tables),
            ("_system/cli/tableSize", "default") => Some(Self::TableSize),
            ("_system/cli/tableData", "default") => Some(Self::TableData),
            ("_system/cli/queryImport", "default") => Some(Self::QueryImport),
            ("_system/cli/queryImport", "list") => Some(Self::ListImports),
            _ => None,
        }
    }

    /// Its value, as JSON.
    pub(super) fn run(self, state: &mut MutableState, args: &RawValue, format: Format) -> Result<String, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct OfPage {
            table: String,
            order: String,
            pagination_opts: Pagination,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Pagination {
            cursor: Option<String>,
            num_items: usize,
        }
        if self == Self::TableData {
            let OfPage { table, order, pagination_opts: Pagination { cursor, num_items } } = read(args)?;
            if order != "asc" || format != Format::Encoded {
                return Err(Failure::Plain("this stand-in gives documents in order, and encoded".to_owned()));
            }
            let start = match cursor {
                None => 0,
                Some(cursor) => cursor.parse().map_err(|_| Failure::Plain("InvalidCursor".to_owned()))?,
            };
            return state.store.page(&table, start, num_items);
        }
        self.small(state, args, format).map(|value| value.to_string())
    }

    fn small(self, state: &MutableState, args: &RawValue, format: Format) -> Result<Value, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct OfTable {
            table_name: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct OfImport {
            import_id: String,
        }
        let numbers = state.store.table_numbers();
        match self {
            Self::TableMapping => {
                let system = SYSTEM_TABLES.into_iter().map(|(number, name)| (number.to_string(), name.into()));
                let users = numbers.into_iter().map(|(name, number)| (number.to_string(), name.into()));
                Ok(Value::Object(system.chain(users).collect::<Map<_, _>>()))
            }
            Self::Tables => {
                let page: Vec<Value> = numbers.into_keys().map(|name| json!({ "name": name })).collect();
                Ok(json!({ "page": page, "isDone": true, "continueCursor": "end" }))
            }
            Self::TableSize => Ok(state.store.count(&read::<OfTable>(args)?.table_name).into()),
            Self::QueryImport => {
                let id = read::<OfImport>(args)?.import_id;
                Ok(state.imports.query(&id, format).unwrap_or(Value::Null))
            }
            Self::ListImports => Ok(state.imports.list(format)),
            Self::TableData => Ok(Value::Null),
        }
    }
}

fn read<T: DeserializeOwned>(args: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(args.get()).map_err(|error| Failure::Plain(format!("ArgumentValidationError: {error}")))
}
