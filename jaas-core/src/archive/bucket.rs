//! Sinks in the buckets of cloud providers.
//!
//! The features take the parts of `object_store` that are free of TLS, its signatures by ring, and an HTTP client whose
//! TLS is rustls without a provider: the features `aws`, `gcp` and `azure` of `object_store` would add aws-lc to every
//! application.

#[cfg(feature = "archive-s3")]
use object_store::aws::AmazonS3Builder;
#[cfg(feature = "archive-azure")]
use object_store::azure::MicrosoftAzureBuilder;
#[cfg(feature = "archive-gcs")]
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{Error, ObjectStore};

use super::object_sink::{ObjectSink, with_causes};
use crate::config::{ConfigError, ConfigErrorKind};

impl ObjectSink {
    /// A sink in a bucket of S3, or of a server that speaks its protocol.
    ///
    /// If this process has no default provider of rustls yet, this makes ring the default: the HTTP client of the
    /// bucket uses the default provider.
    ///
    /// ```no_run
    /// use jaas_core::archive::object_store::aws::AmazonS3Builder;
    /// use jaas_core::archive::{ObjectName, ObjectSink};
    ///
    /// // Credentials and region come from `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`.
    /// let bucket = AmazonS3Builder::from_env().with_bucket_name("recordings");
    /// let sink = ObjectSink::s3(bucket)?.prefix(ObjectName::new("jaas")?);
    /// # let _ = sink;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the configuration is incomplete, such as a bucket without a name.
    #[cfg(feature = "archive-s3")]
    pub fn s3(bucket: AmazonS3Builder) -> Result<Self, ConfigError> {
        use_ring();
        built("S3", bucket.build())
    }

    /// A sink in a bucket of Google Cloud Storage. If this process has no default
    /// provider of rustls yet, this makes ring the default, as the HTTP client needs one.
    ///
    /// # Errors
    /// When the configuration is incomplete, such as a bucket without a name.
    #[cfg(feature = "archive-gcs")]
    pub fn gcs(bucket: GoogleCloudStorageBuilder) -> Result<Self, ConfigError> {
        use_ring();
        built("Google Cloud Storage", bucket.build())
    }

    /// A sink in a container of Azure Blob Storage. If this process has no default
    /// provider of rustls yet, this makes ring the default, as the HTTP client needs one.
    ///
    /// # Errors
    /// When the configuration is incomplete, such as a container without a name.
    #[cfg(feature = "archive-azure")]
    pub fn azure(container: MicrosoftAzureBuilder) -> Result<Self, ConfigError> {
        use_ring();
        built("Azure Blob Storage", container.build())
    }
}

/// Makes ring the provider of rustls if this process has none.
fn use_ring() {
    // It fails if there is one, and then the client uses that.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn built(what: &str, bucket: Result<impl ObjectStore, Error>) -> Result<ObjectSink, ConfigError> {
    bucket.map(ObjectSink::new).map_err(|error| {
        let why = with_causes(&error);
        ConfigError::new(ConfigErrorKind::Missing, format!("cannot keep files in {what}: {why}"))
    })
}
