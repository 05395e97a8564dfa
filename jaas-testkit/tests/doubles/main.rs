//! The stand-ins for JaaS and for the application in tests: builders, mocks, the fake dispatcher, and the signature
//! doctor.

#![allow(clippy::expect_used, clippy::panic)]

mod builders;
mod doctor;
mod fake;
mod mocks;
