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
            ("_system/cli/queryImport", "default") => Some(Self::QueryImport),
            ("_system/cli/queryImport", "list") => Some(Self::ListImports),
            _ => None,
        }
    }

    /// Its value.
    pub(super) fn run(self, state: &MutableState, args: &RawValue, format: Format) -> Result<Value, Failure> {
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
        }
    }
}

fn read<T: DeserializeOwned>(args: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(args.get()).map_err(|error| Failure::Plain(format!("ArgumentValidationError: {error}")))
}
