//! `plan`: what a release would do, touching nothing.

use super::context::Context;
use super::{options, summary};
use crate::error::Result;
use crate::plan::{self, ChartChoice, Overrides, Plan};
use crate::source;
use crate::ui::Tone;

/// `cargo xtask plan`
pub(super) fn plan(context: &Context, options: &options::Plan) -> Result<()> {
    let config = context.config()?;
    let version = plan::version(&options.version)?;
    let spec = context.source_spec(&config, &options.what);
    let facts = source::peek(&spec, &context.workspace, super::context::source_date_epoch()?, &context.ui)?;
    let overrides = Overrides { no_chart: context.no_chart(&config), ..options.what.overrides(options.to.to.as_ref()) };
    let plan = Plan::new(&config, version, facts, &overrides)?;
    if options.json {
        context.ui.data(&summary::json(&plan)?);
        return Ok(());
    }
    show(context, &plan)
}

fn show(context: &Context, plan: &Plan) -> Result<()> {
    let platforms = plan.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let source = &plan.source;
    let state = match (&source.revision, source.dirty) {
        (Some(revision), false) => revision.clone(),
        (Some(revision), true) => format!("{revision}, changed since: a release needs --allow-dirty"),
        (None, true) => "under no commit: a release needs --allow-dirty".into(),
        (None, false) => "a revision that is known once it is fetched".into(),
    };
    let floating: Vec<&str> = plan.tags.floating.iter().map(|f| f.tag.as_str()).collect();
    let tags = match floating.is_empty() {
        true => plan.tags.version.clone(),
        false => format!("{}; {} where this is the highest of its range", plan.tags.version, floating.join(", ")),
    };
    let line = |what: &str, value: &str| context.ui.line(Tone::Plain, &format!("{what:<12} {value}"));
    line("version", &plan.version.to_string());
    line("source", &format!("{} ({state})", source.location));
    line("time", &plan.created()?);
    line("platforms", &platforms);
    line("toolchain", &format!("go {}", plan.tools.go));
    line("destination", &plan.destination.to_string());
    line("tags", &tags);
    line("chart", &chart(&plan.chart));
    let rows = plan.images.iter().map(|image| {
        let row = [&image.name, &image.reference, image.package.as_str(), &image.base.to_string()];
        (Tone::Plain, row.map(str::to_owned).to_vec())
    });
    context.ui.table(&["image", "reference", "package", "base"], &rows.collect::<Vec<_>>());
    Ok(())
}

fn chart(choice: &ChartChoice) -> String {
    match choice {
        ChartChoice::Release(chart) => format!("{}:{} from {}", chart.reference, chart.tag, chart.folder.display()),
        ChartChoice::Leave(why) => format!("none: {why}"),
    }
}
