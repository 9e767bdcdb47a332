//! The forms in which a scan's report is given, and their flags.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::context::Context;
use crate::config::{Config, FILE, SourceSpec};
use crate::error::{Error, Result};
use crate::fs;
use crate::scan::{Report, junit, sarif};
use crate::ui::Ui;

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, on stderr
    Table,
    /// Everything that is known
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for CI systems
    Junit,
}

/// A form and the file it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    format: Format,
    file: PathBuf,
}

impl FromStr for Output {
    type Err = Error;
    fn from_str(text: &str) -> Result<Output> {
        let wrong = || Error::usage(format!("`{text}` is not FORMAT=FILE, such as sarif=scan.sarif"));
        let (format, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or_else(wrong)?;
        match Format::from_str(format, false) {
            Ok(Format::Table) | Err(_) => Err(wrong().hint("FORMAT is json, sarif or junit")),
            Ok(format) => Ok(Output { format, file: file.into() }),
        }
    }
}

/// How the report is given.
#[derive(Debug, Args)]
#[command(next_help_heading = "How it is reported")]
pub(super) struct Reports {
    /// What is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Print the report as JSON, as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Also write json, sarif or junit to a file; may be repeated
    #[arg(long = "output", value_name = "FORMAT=FILE")]
    pub outputs: Vec<Output>,
}

impl Reports {
    /// Prints and writes what was asked for.
    pub(super) fn give(&self, report: &Report, files: &sarif::Files, ui: &Ui) -> Result<()> {
        self.write(report, files)?;
        let printed = if self.is_json() { Format::Json } else { self.format };
        if let Some(bytes) = render(printed, report, files)? {
            ui.data(String::from_utf8_lossy(&bytes).trim_end());
        }
        Ok(())
    }

    /// Writes the files that were asked for.
    pub(super) fn write(&self, report: &Report, files: &sarif::Files) -> Result<()> {
        for Output { format, file } in &self.outputs {
            if let Some(bytes) = render(*format, report, files)? {
                fs::write(file, &bytes)?;
            }
        }
        Ok(())
    }

    /// Whether JSON is printed.
    pub(super) fn is_json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

fn render(format: Format, report: &Report, files: &sarif::Files) -> Result<Option<Vec<u8>>> {
    Ok(match format {
        Format::Table => None,
        Format::Json => Some(report.to_json()?),
        Format::Sarif => Some(sarif::to_sarif(report, files)?),
        Format::Junit => Some(junit::to_junit(report)),
    })
}

/// Where code scanning shows findings. A source that is no part of the repository has no go.mod in it.
pub(super) fn files(context: &Context, config: &Config, source: Option<&SourceSpec>) -> sarif::Files {
    let module = match source {
        None => Some(config.source.path.as_path().to_owned()),
        Some(SourceSpec::Git(_)) => None,
        Some(SourceSpec::Path(path)) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            path.strip_prefix(&context.workspace.root).map(ToOwned::to_owned).ok()
        }
    };
    let module = module.map(|folder| folder.join("go.mod").components().collect::<PathBuf>());
    sarif::Files {
        module: module
            .map_or_else(|| FILE.to_owned(), |path| path.display().to_string().trim_start_matches("./").into()),
        table: FILE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_form_and_a_file() {
        let output: Output = "sarif=out/scan=1.sarif".parse().unwrap();
        assert_eq!(output, Output { format: Format::Sarif, file: "out/scan=1.sarif".into() });
        for wrong in ["sarif", "sarif=", "table=x", "xml=x", "=x"] {
            let text = wrong.parse::<Output>().unwrap_err().to_string();
            assert!(text.contains(&format!("`{wrong}` is not FORMAT=FILE")), "{text}");
        }
    }
}
