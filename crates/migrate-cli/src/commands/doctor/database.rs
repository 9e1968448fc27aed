//! The project's Postgres: its host's addresses, and its catalog.

use std::net::IpAddr;

use migrate_core::catalog::Catalog;
use supabase_source::{DatabaseAddress, DatabaseHost, PostgresCatalog};

use super::diagnosis::Diagnosis;
use super::findings::{Code, Finding};
use super::network::Network;

/// Kinds of hosts in the words of the report.
const KINDS: &[(DatabaseHost, &str)] = &[
    (DatabaseHost::Direct, "direct"),
    (DatabaseHost::SessionPooler, "session pooler"),
    (DatabaseHost::TransactionPooler, "transaction pooler"),
    (DatabaseHost::Other, "other"),
    (DatabaseHost::Socket, "socket"),
];

/// The catalog of Postgres, where it can be had.
pub(super) async fn examine(
    diagnosis: &mut Diagnosis,
    postgres: &PostgresCatalog,
    network: &impl Network,
) -> Option<Catalog> {
    let address = postgres.address();
    let kind = KINDS.iter().find(|(kind, _)| *kind == address.kind).map(|(_, name)| (*name).to_owned());
    diagnosis.database.kind = kind;
    diagnosis.database.address = Some(match address.kind {
        DatabaseHost::Socket => address.host.clone(),
        _ => format!("{}:{}", address.host, address.port),
    });
    if address.kind == DatabaseHost::TransactionPooler {
        diagnosis.find(
            Code::DatabasePoolerTransaction,
            format!("{}:{} is the pooler in transaction mode", address.host, address.port),
        );
    }
    if address.kind != DatabaseHost::Socket && !has_way(diagnosis, &address, network).await {
        return None;
    }
    match postgres.discover().await {
        Ok(catalog) => {
            diagnosis.database.postgres = catalog.origin.strip_prefix("PostgreSQL ").map(str::to_owned);
            Some(catalog)
        }
        Err(error) => {
            diagnosis.fail(Code::DatabaseUnreachable, &error);
            None
        }
    }
}

/// Whether a connection is worth trying: the host has an address, and there is a way to it.
async fn has_way(diagnosis: &mut Diagnosis, address: &DatabaseAddress, network: &impl Network) -> bool {
    let DatabaseAddress { host, port, .. } = address;
    let addresses = match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => network.resolve(host, *port).await.unwrap_or_default(),
    };
    let Some(first) = addresses.first() else {
        let found = Finding::new(Code::DatabaseHostUnresolved, format!("the host {host} has no address here"));
        diagnosis.findings.push(match address.kind {
            // Such a host has an IPv6 address alone, which some resolvers leave out.
            DatabaseHost::Direct => found.with_remedy(format!(
                "{}; a paused project has no address either",
                Code::DatabaseHostNoRoute.rule().remedy
            )),
            _ => found,
        });
        return false;
    };
    if !addresses.iter().all(IpAddr::is_ipv6) || first.is_loopback() {
        return true;
    }
    if addresses.iter().any(|address| network.has_route(*address, *port)) {
        diagnosis.find(Code::DatabaseHostIpv6Only, format!("the host {host} has IPv6 addresses only"));
        return true;
    }
    let message = format!("the host {host} has IPv6 addresses only, and this machine has no way to them");
    let found = Finding::new(Code::DatabaseHostNoRoute, message);
    diagnosis.findings.push(match address.kind {
        DatabaseHost::Direct | DatabaseHost::SessionPooler | DatabaseHost::TransactionPooler => found,
        DatabaseHost::Other | DatabaseHost::Socket => found.with_remedy("reach it over IPv4, or from another network"),
    });
    false
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use supabase_source::PostgresSettings;

    use super::super::findings::Severity;
    use super::*;

    /// A network of one host.
    struct Told {
        addresses: &'static [&'static str],
        has_route: bool,
    }

    impl Network for Told {
        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<IpAddr>> {
            Ok(self.addresses.iter().map(|address| address.parse().unwrap()).collect())
        }

        fn has_route(&self, _: IpAddr, _: u16) -> bool {
            self.has_route
        }
    }

    async fn way(kind: DatabaseHost, network: Told) -> (bool, Vec<Finding>) {
        let mut diagnosis = Diagnosis::new();
        let address = DatabaseAddress { host: "db.abc.supabase.co".to_owned(), port: 5432, kind };
        let has_way = has_way(&mut diagnosis, &address, &network).await;
        (has_way, diagnosis.findings)
    }

    #[tokio::test]
    async fn a_host_of_ipv6_alone_needs_a_way() {
        let only = &["2a05:d014::1"];
        let (has_way, found) = way(DatabaseHost::Direct, Told { addresses: only, has_route: false }).await;
        assert!(!has_way);
        assert_eq!((found[0].code, found[0].severity), (Code::DatabaseHostNoRoute, Severity::Error));
        assert!(found[0].remedy.contains("session pooler"), "{found:?}");

        let (has_way, found) = way(DatabaseHost::Direct, Told { addresses: only, has_route: true }).await;
        assert!(has_way);
        assert_eq!((found[0].code, found[0].severity), (Code::DatabaseHostIpv6Only, Severity::Info));

        let both = &["2a05:d014::1", "3.66.1.2"];
        let (has_way, found) = way(DatabaseHost::Direct, Told { addresses: both, has_route: false }).await;
        assert!(has_way && found.is_empty(), "{found:?}");
    }

    #[tokio::test]
    async fn a_host_without_an_address_is_no_host_to_connect_to() {
        let (has_way, found) = way(DatabaseHost::Direct, Told { addresses: &[], has_route: true }).await;
        assert!(!has_way && found[0].remedy.contains("session pooler") && found[0].remedy.contains("paused"));
        let (has_way, found) = way(DatabaseHost::Other, Told { addresses: &[], has_route: true }).await;
        assert!(!has_way && found[0].code == Code::DatabaseHostUnresolved, "{found:?}");
        assert!(!found[0].remedy.contains("pooler"), "{found:?}");
    }

    #[tokio::test]
    async fn a_pooler_is_known_by_its_port() {
        for (port, name, count) in [(6543, "transaction pooler", 1), (5432, "session pooler", 0)] {
            let url = format!("postgres://postgres.abc:hunter2@aws-0-eu.pooler.supabase.com:{port}/postgres");
            let settings = PostgresSettings { connect_timeout: Duration::from_millis(1), ..PostgresSettings::new(url) };
            let postgres = PostgresCatalog::new(settings).unwrap();
            let mut diagnosis = Diagnosis::new();
            let network = Told { addresses: &[], has_route: false };
            assert!(examine(&mut diagnosis, &postgres, &network).await.is_none());
            assert_eq!(diagnosis.database.kind.as_deref(), Some(name));
            let poolers = diagnosis.findings.iter().filter(|found| found.code == Code::DatabasePoolerTransaction);
            assert_eq!(poolers.count(), count, "{port}");
            assert!(!serde_json::to_string(&diagnosis).unwrap().contains("hunter2"));
        }
    }
}
