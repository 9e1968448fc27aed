//! What a deployment says of itself and of its functions, one question at a time, for a diagnosis.

use std::collections::HashMap;

use migrate_core::error::{ErrorKind, Result};
use migrate_core::{Error, Plan};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::client::FunctionKind;
use crate::codegen::{FunctionSpec, functions};
use crate::compare::differences;
use crate::encode;
use crate::settings::{ConvexSettings, DeploymentKind};
use crate::sink::{ConvexSink, Probe};

/// The system query behind `npx convex function-spec`: every deployed function with its validators
/// (`system-udfs/convex/_system/cli/modules.ts` of the Convex backend).
const FUNCTION_SPECS: &str = "_system/cli/modules:apiSpec";

/// The operation that a key of limited rights needs (`keybroker/src/operations.rs` of the Convex backend).
const RUN_INTERNAL_MUTATIONS: &str = "RunInternalMutations";

/// Characters of a version that are shown at most.
const VERSION_CHARS: usize = 64;

/// Asks a deployment what a diagnosis wants to know. It writes nothing, and repeats nothing.
#[derive(Debug)]
pub struct ConvexProbe {
    sink: ConvexSink,
    kind: DeploymentKind,
    key_names: Option<String>,
}

/// What any deployment tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendInfo {
    /// The backend's version, where it tells one.
    pub version: Option<String>,
    /// Seconds that its clock is ahead of this machine's; negative where it is behind. None where it sends no date.
    pub clock_skew: Option<i64>,
}

/// What a deployment says of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRights {
    /// It may do everything.
    Admin,
    /// It may do what the migration's calls need, and not everything.
    Enough,
    /// It may not call internal mutations, which a migration does: it may only read, or lacks that one right.
    TooFew,
    /// The deployment does not say: an old backend, or there is no key.
    Untold,
}

/// One generated function, and what is deployed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionCheck {
    /// Its path, such as `migration/migrate:bulkInsertOrders`.
    pub name: String,
    /// What is deployed.
    pub state: FunctionState,
}

/// What is deployed of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionState {
    /// The plan's: of its kind, visibility and arguments.
    Current,
    /// A function of that name, whose arguments the deployment does not show to this key.
    Present,
    /// None.
    Missing,
    /// Another one; each line is a difference. Empty where no more is known than that it refuses a call of no records.
    Differs(Vec<String>),
}

/// A deployed function, as the system query shows it. HTTP routes have no identifier.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deployed {
    identifier: Option<String>,
    function_type: String,
    visibility: Option<Visibility>,
    args: Option<Json>,
}

#[derive(Debug, Deserialize)]
struct Visibility {
    kind: String,
}

impl ConvexProbe {
    /// A probe of the settings' deployment. Makes no call.
    ///
    /// # Errors
    /// As [`ConvexSink::new`].
    pub fn new(settings: ConvexSettings) -> Result<Self> {
        let kind = settings.deployment_kind();
        let key_names = settings.named_deployment().map(str::to_owned);
        Ok(Self { sink: ConvexSink::new(settings)?, kind, key_names })
    }

    /// The deployment that the key names, where address and key are of hosted deployments and the address names another.
    #[must_use]
    pub fn key_of_another(&self) -> Option<&str> {
        let host = self.address().rsplit_once(':').map_or("", |(host, _)| host);
        let of_address = host.strip_suffix(".convex.cloud")?.split('.').next()?;
        self.key_names.as_deref().filter(|name| *name != of_address)
    }

    /// Host and port of the deployment.
    #[must_use]
    pub fn address(&self) -> &str {
        self.sink.client().host()
    }

    /// Whether calls are made with a key, rather than with the secret of public functions.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.sink.client().has_key()
    }

    /// What the key says of its deployment.
    #[must_use]
    pub fn deployment_kind(&self) -> DeploymentKind {
        self.kind
    }

    /// Proves that a deployment answers.
    ///
    /// # Errors
    /// `Unreachable`, `TimedOut`, `Unavailable`, `Protocol`.
    pub async fn backend(&self) -> Result<BackendInfo> {
        let reply = self.sink.client().version().await?;
        let text = String::from_utf8_lossy(&reply.body).trim().trim_matches('"').to_owned();
        let is_version = !text.is_empty()
            && text.len() <= VERSION_CHARS
            && text != "unknown"
            && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_' | '+'));
        Ok(BackendInfo { version: is_version.then_some(text), clock_skew: reply.clock_skew })
    }

    /// Asks the deployment what the key may do.
    ///
    /// # Errors
    /// As a call; `Unauthorized` or `Forbidden` for a key that is not the deployment's.
    pub async fn key_rights(&self) -> Result<KeyRights> {
        let Some(rights) = self.sink.client().key_rights().await? else { return Ok(KeyRights::Untold) };
        Ok(if rights.is_read_only {
            KeyRights::TooFew
        } else if rights.allowed_ops.is_empty() {
            KeyRights::Admin
        } else if rights.allowed_ops.iter().any(|operation| operation == RUN_INTERNAL_MUTATIONS) {
            KeyRights::Enough
        } else {
            KeyRights::TooFew
        })
    }

    /// What is deployed of the functions that the plan needs, in the plan's order.
    ///
    /// The deployment's list of functions shows their arguments. Where the key or an old backend does not give it, the
    /// functions are called with nothing in them, which shows that they are there.
    ///
    /// # Errors
    /// As a call that fails for another reason than the function's.
    pub async fn functions(&self, plan: &Plan) -> Result<Vec<FunctionCheck>> {
        match self.deployed().await? {
            Some(deployed) => Ok(functions(plan).iter().map(|planned| compare(planned, &deployed)).collect()),
            None => self.called(plan).await,
        }
    }

    /// The deployed functions by their path; none where the deployment does not show them.
    async fn deployed(&self) -> Result<Option<HashMap<String, Deployed>>> {
        if !self.has_key() {
            return Ok(None);
        }
        let mut body = encode::begin_call(FUNCTION_SPECS, None);
        encode::end_call(&mut body);
        let answer = self.sink.client().call::<Vec<Deployed>>(FunctionKind::Query, FUNCTION_SPECS, body).await;
        match answer {
            Ok(list) => {
                let named =
                    list.into_iter().filter_map(|function| Some((path(function.identifier.as_deref()?), function)));
                Ok(Some(named.collect()))
            }
            Err(error) if is_not_shown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn called(&self, plan: &Plan) -> Result<Vec<FunctionCheck>> {
        let names = self.sink.functions();
        let mut checks = Vec::new();
        for table in &plan.tables {
            checks.push(self.one_call(Probe::Insert(&table.sink), names.bulk_insert(&table.sink)).await?);
            if table.cut_fields().next().is_some() {
                checks.push(self.one_call(Probe::Patch(&table.sink), names.patch(&table.sink)).await?);
            }
        }
        for table in &plan.adopted {
            let shown = format!("{} ({} by {})", names.lookup(), table.sink.name(), table.index);
            checks.push(self.one_call(Probe::Lookup(&table.sink, &table.index), shown).await?);
        }
        Ok(checks)
    }

    async fn one_call(&self, probe: Probe<'_>, name: String) -> Result<FunctionCheck> {
        let state = match self.sink.probe(probe).await {
            Ok(None) => FunctionState::Present,
            Ok(Some(_)) => FunctionState::Missing,
            Err(error) if error.kind() == ErrorKind::Config => FunctionState::Differs(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(FunctionCheck { name, state })
    }
}

/// Whether the system query itself is what fails.
fn is_not_shown(error: &Error) -> bool {
    use ErrorKind::{Forbidden, FunctionMissing, Protocol, RecordFailed};
    matches!(error.kind(), FunctionMissing | Forbidden | Protocol | RecordFailed)
}

/// `migration/migrate.js:lookup` as a call names it: `migration/migrate:lookup`.
fn path(identifier: &str) -> String {
    identifier.replacen(".js:", ":", 1)
}

fn compare(planned: &FunctionSpec, deployed: &HashMap<String, Deployed>) -> FunctionCheck {
    let state = match deployed.get(&planned.name) {
        None => FunctionState::Missing,
        Some(deployed) => match faults(planned, deployed) {
            faults if faults.is_empty() => FunctionState::Current,
            faults => FunctionState::Differs(faults),
        },
    };
    FunctionCheck { name: planned.name.clone(), state }
}

fn faults(planned: &FunctionSpec, deployed: &Deployed) -> Vec<String> {
    let kind = match planned.kind {
        FunctionKind::Query => "Query",
        FunctionKind::Mutation => "Mutation",
    };
    let is_public = deployed.visibility.as_ref().is_none_or(|visibility| visibility.kind == "public");
    let visibility = |is_public: bool| if is_public { "public" } else { "internal" };
    let mut faults = Vec::new();
    if deployed.function_type != kind {
        faults.push(format!("a {} is planned, and the deployed one is none", kind.to_lowercase()));
    }
    if is_public != planned.is_public {
        faults.push(format!("it is {}, and {} is planned", visibility(is_public), visibility(planned.is_public)));
    }
    faults.extend(deployed.args.as_ref().map(|found| differences(found, &planned.arguments)).unwrap_or_default());
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(name: &str, kind: FunctionKind) -> FunctionSpec {
        FunctionSpec { name: name.to_owned(), kind, is_public: false, arguments: json!({ "type": "any" }) }
    }

    #[test]
    fn the_key_of_another_deployment_is_known_by_its_name() {
        for (url, key, named) in [
            ("https://happy-animal-123.convex.cloud", "prod:other-animal-7|CANARY", Some("other-animal-7")),
            ("https://happy-animal-123.convex.cloud", "dev:happy-animal-123|CANARY", None),
            ("https://happy-animal-123.eu-west-1.convex.cloud", "dev:happy-animal-123|CANARY", None),
            ("https://api.example.com", "prod:other-animal-7|CANARY", None),
            ("https://happy-animal-123.convex.cloud", "0123CANARY", None),
        ] {
            let probe = ConvexProbe::new(ConvexSettings::new(url, key.into())).unwrap();
            assert_eq!(probe.key_of_another(), named, "{url}");
            assert!(!format!("{probe:?}").contains("CANARY"));
        }
    }

    #[test]
    fn kind_and_visibility_count() {
        let list = json!([
            { "identifier": "a/b.js:one", "functionType": "Mutation", "visibility": { "kind": "internal" }, "args": { "type": "any" } },
            { "identifier": "a/b.js:two", "functionType": "Mutation", "visibility": { "kind": "public" }, "args": { "type": "any" } },
            { "functionType": "HttpAction", "method": "GET", "path": "/" },
        ]);
        let list: Vec<Deployed> = serde_json::from_value(list).unwrap();
        let deployed = list.into_iter().filter_map(|one| Some((path(one.identifier.as_deref()?), one))).collect();
        let state = |name: &str, kind| compare(&spec(name, kind), &deployed).state;
        assert_eq!(state("a/b:one", FunctionKind::Mutation), FunctionState::Current);
        assert_eq!(state("a/b:none", FunctionKind::Mutation), FunctionState::Missing);
        let FunctionState::Differs(faults) = state("a/b:two", FunctionKind::Query) else { panic!("it differs") };
        assert_eq!(
            faults,
            ["a query is planned, and the deployed one is none", "it is public, and internal is planned"]
        );
    }
}
