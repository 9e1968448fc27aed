//! The files of `convex/_generated`, as `npx convex codegen` writes them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::error::{Context, Error, Result};
use super::keys::random_hex;

const HEADER: &str = "/* eslint-disable */\n// Generated. To regenerate, run `npx convex dev`.\n\n";

const SERVER_JS: &str = r#"import {
  actionGeneric,
  httpActionGeneric,
  internalActionGeneric,
  internalMutationGeneric,
  internalQueryGeneric,
  mutationGeneric,
  queryGeneric,
} from "convex/server";

export const query = queryGeneric;
export const internalQuery = internalQueryGeneric;
export const mutation = mutationGeneric;
export const internalMutation = internalMutationGeneric;
export const action = actionGeneric;
export const internalAction = internalActionGeneric;
export const httpAction = httpActionGeneric;
"#;

const SERVER_DTS: &str = r#"import type {
  ActionBuilder,
  GenericActionCtx,
  GenericDatabaseReader,
  GenericDatabaseWriter,
  GenericMutationCtx,
  GenericQueryCtx,
  HttpActionBuilder,
  MutationBuilder,
  QueryBuilder,
} from "convex/server";
import type { DataModel } from "./dataModel.js";

export declare const query: QueryBuilder<DataModel, "public">;
export declare const internalQuery: QueryBuilder<DataModel, "internal">;
export declare const mutation: MutationBuilder<DataModel, "public">;
export declare const internalMutation: MutationBuilder<DataModel, "internal">;
export declare const action: ActionBuilder<DataModel, "public">;
export declare const internalAction: ActionBuilder<DataModel, "internal">;
export declare const httpAction: HttpActionBuilder;

export type QueryCtx = GenericQueryCtx<DataModel>;
export type MutationCtx = GenericMutationCtx<DataModel>;
export type ActionCtx = GenericActionCtx<DataModel>;
export type DatabaseReader = GenericDatabaseReader<DataModel>;
export type DatabaseWriter = GenericDatabaseWriter<DataModel>;
"#;

const DATA_MODEL_DTS: &str = r#"import type {
  DataModelFromSchemaDefinition,
  DocumentByName,
  SystemTableNames,
  TableNamesInDataModel,
} from "convex/server";
import type { GenericId } from "convex/values";
import schema from "../schema.js";

export type TableNames = TableNamesInDataModel<DataModel>;
export type Doc<TableName extends TableNames> = DocumentByName<DataModel, TableName>;
export type Id<TableName extends TableNames | SystemTableNames> = GenericId<TableName>;
export type DataModel = DataModelFromSchemaDefinition<typeof schema>;
"#;

const DATA_MODEL_WITHOUT_SCHEMA_DTS: &str = r#"import type { AnyDataModel } from "convex/server";
import type { GenericId } from "convex/values";

export type TableNames = string;
export type Doc = any;
export type Id<TableName extends TableNames = TableNames> = GenericId<TableName>;
export type DataModel = AnyDataModel;
"#;

const API_JS: &str = r#"import { anyApi } from "convex/server";

export const api = anyApi;
export const internal = anyApi;
"#;

/// Files that hold no functions, wherever they are.
const NOT_MODULES: [&str; 3] = ["schema", "auth.config", "convex.config"];

/// Writes `<project>/convex/_generated`, which the functions of a project import. A file that is right already is
/// left alone, so running it again, or from several tests at once, does no harm.
///
/// # Errors
/// There is no `convex` folder in `project`, or it cannot be written to.
pub fn write_generated(project: &Path) -> Result<()> {
    let functions = project.join("convex");
    if !functions.is_dir() {
        return Err(Error::new(format!("{} has no folder `convex`: give the folder that holds it", project.display())));
    }
    let mut modules = Vec::new();
    collect_modules(&functions, "", &mut modules)?;
    modules.sort();
    let has_schema = functions.join("schema.ts").is_file() || functions.join("schema.js").is_file();
    let data_model = if has_schema { DATA_MODEL_DTS } else { DATA_MODEL_WITHOUT_SCHEMA_DTS };
    let generated = functions.join("_generated");
    fs::create_dir_all(&generated).context(format_args!("create {}", generated.display()))?;
    for (name, body) in [
        ("server.js", SERVER_JS),
        ("server.d.ts", SERVER_DTS),
        ("api.js", API_JS),
        ("api.d.ts", &api_dts(&modules)),
        ("dataModel.d.ts", data_model),
    ] {
        write_if_different(&generated.join(name), &format!("{HEADER}{body}"))?;
    }
    Ok(())
}

/// Paths of function modules below `folder`, without their extension.
fn collect_modules(folder: &Path, prefix: &str, modules: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).context(format_args!("list {}", folder.display()))? {
        let entry = entry.context(format_args!("list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            if name != "_generated" && name != "node_modules" {
                collect_modules(&entry.path(), &format!("{prefix}{name}/"), modules)?;
            }
            continue;
        }
        let Some((stem, extension)) = name.rsplit_once('.') else { continue };
        let is_source = matches!(extension, "ts" | "tsx" | "js" | "jsx" | "mts" | "mjs");
        // A dot in the rest of the name marks declarations and tests.
        if is_source && !stem.contains('.') && !NOT_MODULES.contains(&stem) {
            modules.push(format!("{prefix}{stem}"));
        }
    }
    Ok(())
}

fn api_dts(modules: &[String]) -> String {
    let identifier = |module: &str| format!("module_{}", module.replace(['/', '-'], "_"));
    let mut text =
        String::from("import type { ApiFromModules, FilterApi, FunctionReference } from \"convex/server\";\n");
    let mut members = String::new();
    for module in modules {
        let name = identifier(module);
        // Writing to a string does not fail.
        let _ = writeln!(text, "import type * as {name} from \"../{module}.js\";");
        let _ = writeln!(members, "  \"{module}\": typeof {name};");
    }
    let _ = write!(
        text,
        "\ndeclare const fullApi: ApiFromModules<{{\n{members}}}>;\n\
         export declare const api: FilterApi<typeof fullApi, FunctionReference<any, \"public\">>;\n\
         export declare const internal: FilterApi<typeof fullApi, FunctionReference<any, \"internal\">>;\n"
    );
    text
}

/// Replaces the file in one step, so that a reader never sees half of it.
fn write_if_different(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let new = path.with_extension(format!("new-{}", random_hex(12)));
    fs::write(&new, text).context(format_args!("write {}", new.display()))?;
    fs::rename(&new, path).context(format_args!("replace {}", path.display()))
}
