//! A connection, encrypted as its address says.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use migrate_core::{Error, ErrorKind, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, SslMode};
use super::errors::{connect_error, connect_timeout};

/// Connects; the connection's task runs on the current runtime and ends with the client.
///
/// # Errors
/// As [`connect_error`]; `Config` for certificates that cannot be read.
pub(super) async fn connect(address: &Address, limit: Duration) -> Result<Client> {
    open(address, limit).await.map(|(client, _)| client)
}

/// As [`connect`], with the connection's task, whose end ends the connection whatever is on the way.
///
/// # Errors
/// As [`connect`].
pub(super) async fn open(address: &Address, limit: Duration) -> Result<(Client, JoinHandle<()>)> {
    let connecting = async {
        let failed = |error: tokio_postgres::Error| connect_error(&error, address);
        if address.ssl_mode == SslMode::Disable {
            let (client, connection) = address.config.connect(NoTls).await.map_err(failed)?;
            return Ok((client, tokio::spawn(connection.map(drop))));
        }
        let (client, connection) =
            address.config.connect(MakeRustlsConnect::new(tls(address)?)).await.map_err(failed)?;
        Ok((client, tokio::spawn(connection.map(drop))))
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(connect_timeout(address)),
    }
}

/// The system's certificates, as for HTTPS, or those of `sslrootcert`.
fn tls(address: &Address) -> Result<ClientConfig> {
    let config_error = |text: &str| Error::new(ErrorKind::Config, text);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match (address.ssl_mode, &address.root_certificate) {
        (SslMode::VerifyFull, Some(file)) => {
            let unread =
                |_| config_error("read the certificate that sslrootcert names").with_context("file", file.display());
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(file).map_err(unread)? {
                roots
                    .add(certificate.map_err(unread)?)
                    .map_err(|_| config_error("use the certificate that sslrootcert names"))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|_| config_error("use the certificate that sslrootcert names: it holds none"))?
        }
        (SslMode::VerifyFull, None) => Arc::new(
            rustls_platform_verifier::Verifier::new(provider.clone())
                .map_err(|_| config_error("read the system's certificates"))?,
        ),
        _ => Arc::new(AnyServer(provider.clone())),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| config_error("set up the encrypted connection"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// Takes the server for who it says it is, as `sslmode=require` does in libpq: against readers on the way, not against
/// impostors. The handshake's signatures are verified all the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
