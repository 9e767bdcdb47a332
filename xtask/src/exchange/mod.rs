//! Exchange: what one machine built, carried to another as a folder, so that platforms are built side by side and
//! released together.
//!
//! Takes [`Built`](crate::build::Built), gives a folder: an OCI layout with the images of some platforms, and beside it
//! [`FILE`], which says what they were made from. Takes such folders and a plan, gives `Built` again, the same as if one
//! machine had built everything. Never takes a folder at its word: what doesn't agree with the plan is named and
//! refused, and every blob is hashed again.

mod read;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Context, Result};
use crate::oci::Platform;
use crate::oci::spec::Descriptor;
use crate::plan::Plan;

pub use read::{Share, import, read};
pub use write::{check, export};

/// The file that makes a layout an export.
pub const FILE: &str = "export.json";
/// The version of the file's shape.
pub const SCHEMA: u32 = 1;

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`]
    pub schema: u32,
    /// The version of the program that built it: another may lay out images differently.
    pub xtask: String,
    /// All that the bytes of an image depend on, but for the platform.
    pub recipe: Value,
    /// Platform → image → its manifest.
    pub platforms: BTreeMap<Platform, BTreeMap<String, Descriptor>>,
}

/// What is no part of an image: a release may choose it when others have built.
const NOT_IN_AN_IMAGE: &[&str] = &["schema", "platforms", "destination", "record", "tags", "chart", "scan"];

/// The plan without what changes no image. What a plan has beyond that is compared, so that nothing new is forgotten.
fn recipe(plan: &Plan) -> Result<Value> {
    let mut recipe = serde_json::to_value(plan).attempt(|| "describe the plan".into())?;
    if let Some(fields) = recipe.as_object_mut() {
        for name in NOT_IN_AN_IMAGE {
            fields.shift_remove(*name);
        }
    }
    // The revision says what was built; where a machine has it says nothing.
    without(recipe.get_mut("source"), "location");
    // The name in manifests follows the destination.
    for image in recipe.get_mut("images").and_then(Value::as_array_mut).into_iter().flatten() {
        without(Some(image), "reference");
    }
    Ok(recipe)
}

fn without(value: Option<&mut Value>, field: &str) {
    value.and_then(Value::as_object_mut).map(|fields| fields.shift_remove(field));
}

#[cfg(test)]
mod tests;
