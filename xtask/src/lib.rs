//! Releases container images: builds, scans, publishes, pins and verifies them. See ARCHITECTURE.md for the flow.

pub mod build;
pub mod bundle;
pub mod ci;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod doctor;
pub mod error;
pub mod fs;
pub mod go;
pub mod k8s;
pub mod oci;
pub mod pin;
pub mod plan;
pub mod pool;
pub mod preflight;
pub mod publish;
pub mod record;
pub mod registry;
pub mod remote;
pub mod sbom;
pub mod scan;
pub mod source;
pub mod tools;
pub mod ui;
pub mod verify;
