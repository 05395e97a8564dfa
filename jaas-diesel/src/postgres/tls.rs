//! TLS for PostgreSQL.

use std::sync::Arc;

use jaas_core::store::StoreError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::unavailable;

pub(super) type Connector = MakeRustlsConnect;

const OPERATION: &str = "prepare TLS for PostgreSQL";

/// The connector for TLS; `None` if the address disables TLS.
pub(super) async fn connector(
    config: &tokio_postgres::Config,
    roots: Option<Vec<u8>>,
) -> Result<Option<Connector>, StoreError> {
    if config.get_ssl_mode() == SslMode::Disable {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unavailable(OPERATION, error))?;
    let tls = if config.get_ssl_mode() == SslMode::Prefer && roots.is_none() {
        // Checking would not help: an attacker who can present a false certificate can also pretend that the server has no
        // TLS.
        let any = Arc::new(AnyCertificate(provider));
        tls.dangerous().with_custom_certificate_verifier(any).with_no_client_auth()
    } else {
        // In a blocking task, because it reads files.
        let roots = tokio::task::spawn_blocking(move || root_certificates(roots)).await;
        let roots = roots.map_err(|error| unavailable(OPERATION, error))??;
        tls.with_root_certificates(roots).with_no_client_auth()
    };
    Ok(Some(MakeRustlsConnect::new(tls)))
}

fn root_certificates(pem: Option<Vec<u8>>) -> Result<RootCertStore, StoreError> {
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unavailable(OPERATION, error.to_string()))?;
                roots.add(certificate).map_err(|error| unavailable(OPERATION, error))?;
            }
            if roots.is_empty() {
                return Err(unavailable(
                    OPERATION,
                    "root_certificates contains no certificate in PEM; pass the PEM text of at least one",
                ));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
                return Err(unavailable(
                    OPERATION,
                    format!(
                        "the system trusts no certificates ({why}); install some, or pass root_certificates"
                    ),
                ));
            }
        }
    }
    Ok(roots)
}

/// Accepts any certificate, as `sslmode=prefer` does in every client: it encrypts if possible, and authenticates nobody.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
