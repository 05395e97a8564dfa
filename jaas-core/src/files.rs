//! The files that events link to, where their format is known.
//!
//! Of transcriptions and lists of screenshots no reliable format is published: keep their bytes. Statistics are read by
//! `jaas_core::rtcstats`.

pub mod chat;
