//! Authentication on shares: biometric matching, split-key signatures and `WebAuthn` ceremonies will live here.
//!
//! The crate is empty in this release. It exists so that the direction of dependencies is fixed: it may use
//! `trefoil-circuits` and `trefoil-engine`, and nothing but `trefoil-nodes` may use it.
#![forbid(unsafe_code)]
