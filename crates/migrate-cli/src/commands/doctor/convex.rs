//! The Convex deployment: does it answer, what may the key do, and are the plan's functions there.

use convex_sink::{ConvexProbe, DeploymentKind, FunctionCheck, FunctionState, KeyRights};
use migrate_core::{ErrorKind, Plan};

use super::clock_skew;
use super::diagnosis::{Diagnosis, FunctionCounts, Proof};
use super::findings::{Code, Finding};

/// Functions, or differences of one, that a finding names.
const NAMED: usize = 5;

pub(super) async fn examine(diagnosis: &mut Diagnosis, probe: &ConvexProbe, plan: Option<&Plan>) {
    let kind = probe.deployment_kind();
    let name = match kind {
        DeploymentKind::Production => "production",
        DeploymentKind::Development => "development",
        DeploymentKind::Other => "other",
    };
    diagnosis.convex.deployment = Some(name.to_owned());
    if kind == DeploymentKind::Production {
        diagnosis.find(Code::ConvexProduction, format!("{} is a production deployment", probe.address()));
    }
    if let Some(other) = probe.key_of_another() {
        diagnosis.find(Code::ConvexKeyOfAnother, format!("the key is of {other}, the address is {}", probe.address()));
    }
    match probe.backend().await {
        Ok(found) => {
            diagnosis.convex.version = found.version;
            diagnosis.convex.clock_skew_seconds = found.clock_skew;
            if let Some(seconds) = found.clock_skew {
                clock_skew(diagnosis, "Convex", seconds);
            }
        }
        Err(error) => return diagnosis.fail(Code::ConvexUnreachable, &error),
    }
    if !key(diagnosis, probe).await {
        return;
    }
    let Some(plan) = plan else { return };
    match probe.functions(plan).await {
        Ok(checks) => functions(diagnosis, &checks, kind.deploy_command()),
        Err(error) => diagnosis.fail(Code::FunctionsNotChecked, &error),
    }
}

/// Whether the key can be used for more questions.
async fn key(diagnosis: &mut Diagnosis, probe: &ConvexProbe) -> bool {
    let (proof, is_known) = match probe.key_rights().await {
        Ok(KeyRights::Admin | KeyRights::Enough) => (Proof::Proven, true),
        Ok(KeyRights::Untold) => {
            if probe.has_key() {
                diagnosis.find(Code::ConvexKeyUntold, "the deployment does not say what the key may do");
            }
            (Proof::Untold, true)
        }
        Ok(KeyRights::TooFew) => {
            diagnosis.find(Code::ConvexKeyTooFew, "the key may not call internal mutations");
            (Proof::Refused, true)
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unauthorized | ErrorKind::Forbidden) => {
            diagnosis.fail(Code::ConvexKeyRefused, &error);
            (Proof::Refused, false)
        }
        Err(error) => {
            diagnosis.fail(Code::ConvexUnreachable, &error);
            (Proof::Untold, false)
        }
    };
    diagnosis.convex.admin = Some(proof);
    is_known
}

fn functions(diagnosis: &mut Diagnosis, checks: &[FunctionCheck], deploy: &str) {
    let mut counts = FunctionCounts { planned: checks.len(), ..FunctionCounts::default() };
    let mut missing = Vec::new();
    for check in checks {
        match &check.state {
            FunctionState::Current => counts.current += 1,
            FunctionState::Present => counts.present += 1,
            FunctionState::Missing => missing.push(check.name.clone()),
            FunctionState::Differs(differences) => {
                counts.differing += 1;
                let differences = match differences.as_slice() {
                    [] => "it refuses a call with no records".to_owned(),
                    differences => some_of(differences, "; "),
                };
                let found = Finding::new(Code::FunctionDiffers, format!("{}: {differences}", check.name));
                diagnosis.findings.push(found.with_remedy(format!("run migrate-plan, then: {deploy}")));
            }
        }
    }
    counts.missing = missing.len();
    if !missing.is_empty() {
        let message =
            format!("{} of {} functions are not deployed: {}", missing.len(), checks.len(), some_of(&missing, ", "));
        let found = Finding::new(Code::FunctionMissing, message);
        diagnosis.findings.push(found.with_remedy(format!("run: {deploy}")));
    }
    if counts.present > 0 {
        diagnosis.find(
            Code::FunctionsUncompared,
            format!("{} of {} functions are there, with arguments that are not shown", counts.present, checks.len()),
        );
    }
    diagnosis.convex.functions = Some(counts);
}

/// The first few, and how many there are beside them.
fn some_of(items: &[String], separator: &str) -> String {
    let shown = items.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
