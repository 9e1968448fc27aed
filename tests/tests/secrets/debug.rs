//! The debug forms of all that is given a key.

use convex_sink::{ConvexProbe, ConvexSettings, ConvexSink};
use supabase_source::{PostgresCatalog, PostgresSettings, SupabaseProbe, SupabaseSettings, SupabaseSource};

use super::OTHER_KEYS;

#[test]
fn no_debug_form_shows_a_key() {
    let [key, deploy_key, password, secret, jwt] = OTHER_KEYS;
    let database = format!("postgres://postgres:{password}@db.abcdefghijklmnopqrst.supabase.co:5432/postgres");
    let mut supabase = SupabaseSettings::new("https://abcdefghijklmnopqrst.supabase.co", key);
    supabase.database_url = Some(database.clone().into());
    let with_jwt = SupabaseSettings { key: jwt.into(), ..supabase.clone() };
    let postgres = PostgresSettings::new(database);
    let convex = ConvexSettings::new("https://happy-animal-123.convex.cloud", deploy_key.into());
    let public = ConvexSettings::with_secret("https://happy-animal-123.convex.cloud", secret.into());
    let both = ConvexSettings { admin_key: deploy_key.into(), ..public.clone() };
    let debug: &[&dyn std::fmt::Debug] = &[
        &supabase,
        &with_jwt,
        &postgres,
        &convex,
        &public,
        &both,
        &SupabaseSource::new(supabase.clone()).unwrap(),
        &SupabaseSource::new(with_jwt.clone()).unwrap(),
        &SupabaseProbe::new(supabase.clone()).unwrap(),
        &PostgresCatalog::new(postgres.clone()).unwrap(),
        &PostgresCatalog::new(postgres.clone()).unwrap().address(),
        &ConvexSink::new(convex.clone()).unwrap(),
        &ConvexSink::new(public.clone()).unwrap(),
        &ConvexProbe::new(both.clone()).unwrap(),
    ];
    for form in debug {
        let shown = format!("{form:?} {form:#?}");
        assert!(shown.len() > 20, "{shown}");
        for secret in [key, "canary-deploy-key", password, secret, "canarysignature"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
