//! Code generators: programs that read a `CodeGeneratorRequest` and write a `CodeGeneratorResponse`
//! (google/protobuf/compiler/plugin.proto).
//!
//! Takes encoded descriptors, gives Go files by name. A file that belongs to no proto of the request is refused, so a
//! generator can't choose where it writes. Never decodes a descriptor: options of any kind reach the generator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use prost::Message;
use semver::Version;
use xshell::{Shell, cmd};

use crate::cmd::Run;
use crate::config;
use crate::error::{Context, Error, Result};
use crate::ui::Ui;

/// The longest a generator may take.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Files beside their protos, whatever `go_package` says.
const PARAMETER: &str = "paths=source_relative";

/// One code generator.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    /// Its Go package.
    pub(super) package: &'static str,
    /// Its version.
    pub(super) version: Version,
    /// What its files' names have in place of `.proto`.
    suffix: &'static str,
}

/// The generators of messages and of services.
pub(super) fn plugins(tools: &config::Tools) -> [Plugin; 2] {
    [
        Plugin {
            package: "google.golang.org/protobuf/cmd/protoc-gen-go",
            version: tools.protoc_gen_go.clone(),
            suffix: ".pb.go",
        },
        Plugin {
            package: "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
            version: tools.protoc_gen_go_grpc.clone(),
            suffix: "_grpc.pb.go",
        },
    ]
}

/// Go code by the path of its file, relative to where its proto's name is relative to.
pub(super) type Generated = BTreeMap<String, Vec<u8>>;

/// Encodes the request for the code of `names`; `descriptors` is a `google.protobuf.FileDescriptorSet` that holds them
/// and all they import, in order.
pub(super) fn request<'a>(names: impl Iterator<Item = &'a String>, descriptors: &[u8]) -> Result<Vec<u8>> {
    let set = DescriptorSet::decode(descriptors).attempt(|| "read the compiled protos".into())?;
    let request =
        Request { file_to_generate: names.cloned().collect(), parameter: Some(PARAMETER.into()), proto_file: set.file };
    Ok(request.encode_to_vec())
}

impl Plugin {
    /// Its name, `protoc-gen-go`.
    pub(super) fn name(&self) -> &'static str {
        self.package.rsplit('/').next().unwrap_or(self.package)
    }

    /// Runs it at `program`. `names` are those of the request.
    pub(super) fn run(&self, program: &Path, request: &[u8], names: &BTreeSet<String>, ui: &Ui) -> Result<Generated> {
        let shell = Shell::new().attempt(|| "find the current folder".into())?;
        let answer = Run::new(cmd!(shell, "{program}").quiet()).stdin(request).limit(LIMIT).read(ui)?;
        let answer = Response::decode(&*answer).attempt(|| format!("read the answer of {}", self.name()))?;
        if let Some(said) = answer.error {
            return Err(Error::failed(format!("{} can't generate code", self.name()))
                .because(said.trim_end())
                .hint("correct the .proto it names"));
        }
        let mut files = Generated::new();
        for file in answer.file {
            let name = self.check(file.name.unwrap_or_default(), names)?;
            if file.insertion_point.is_some() || files.insert(name.clone(), file.content.unwrap_or_default()).is_some()
            {
                return Err(Error::failed(format!("{} gave `{name}` in parts, which isn't supported", self.name())));
            }
        }
        Ok(files)
    }

    /// The name of the proto whose code the file `name` would hold.
    pub(super) fn proto_of(&self, name: &str) -> Option<String> {
        name.strip_suffix(self.suffix).map(|stem| format!("{stem}.proto"))
    }

    fn check(&self, file: String, names: &BTreeSet<String>) -> Result<String> {
        match self.proto_of(&file).is_some_and(|proto| names.contains(&proto)) {
            true => Ok(file),
            false => Err(Error::failed(format!(
                "{} gave `{}`, which belongs to none of the protos",
                self.name(),
                file.escape_debug()
            ))),
        }
    }
}

/// `google.protobuf.FileDescriptorSet`, its files left encoded.
#[derive(Clone, PartialEq, Message)]
struct DescriptorSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// `google.protobuf.compiler.CodeGeneratorRequest`, its files left encoded. Without a `compiler_version` the generated
/// code doesn't depend on one.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, repeated, tag = "1")]
    file_to_generate: Vec<String>,
    #[prost(string, optional, tag = "2")]
    parameter: Option<String>,
    #[prost(bytes = "vec", repeated, tag = "15")]
    proto_file: Vec<Vec<u8>>,
}

/// `google.protobuf.compiler.CodeGeneratorResponse`
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, optional, tag = "1")]
    error: Option<String>,
    #[prost(message, repeated, tag = "15")]
    file: Vec<ResponseFile>,
}

/// `google.protobuf.compiler.CodeGeneratorResponse.File`
#[derive(Clone, PartialEq, Message)]
struct ResponseFile {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    insertion_point: Option<String>,
    /// A string in the .proto; its bytes go to a file as they are.
    #[prost(bytes = "vec", optional, tag = "15")]
    content: Option<Vec<u8>>,
}

#[cfg(test)]
pub(super) mod tests;
