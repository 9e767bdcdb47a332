//! `release`, `build` and `scan`: the stages, one after the other.

use std::path::PathBuf;

use super::builder::{self, Chosen};
use super::context::Context;
use super::notes::Told;
use super::{gha, notes, options, reports, summary};
use crate::build::{Built, export};
use crate::bundle::Draft;
use crate::chart::{self, Packed};
use crate::config::{Config, Destination};
use crate::error::Result;
use crate::exchange::{self, Share};
use crate::go::Go;
use crate::oci::store::Store;
use crate::pin;
use crate::plan::{self, ChartChoice, Overrides, Plan};
use crate::pool;
use crate::preflight::{self, Failures};
use crate::publish;
use crate::record::{FILE, Record};
use crate::remote::LayoutDestination;
use crate::sbom::{self, Sboms};
use crate::scan::{self, Scanned};
use crate::source::{self, Source};
use crate::ui::Ui;
use crate::verify;

/// What is to be done, all of it known before anything is.
struct Job {
    config: Config,
    plan: Plan,
    source: Source,
    /// Where the scan's report shows findings.
    files: scan::sarif::Files,
}

impl Job {
    /// `no_chart` is why there is no chart, whatever the table says.
    fn new(
        context: &Context,
        version: &str,
        what: &options::What,
        to: Option<&Destination>,
        no_chart: Option<&str>,
    ) -> Result<Job> {
        let version = plan::version(version)?;
        let config = context.config()?;
        let source = context.source(&config, what)?;
        let no_chart = no_chart.map(str::to_owned).or_else(|| context.no_chart(&config));
        let overrides = Overrides { no_chart, ..what.overrides(to) };
        let plan = Plan::new(&config, version, source.facts.clone(), &overrides)?;
        let files = reports::files(context, &config, what.source.as_ref());
        Ok(Job { config, plan, source, files })
    }
}

/// A finished release.
pub(super) struct Released {
    /// Its record.
    pub record: Record,
    /// Its files.
    pub bundle: PathBuf,
    /// Its notes.
    pub notes: String,
    /// Whether others can pull it.
    pub in_registry: bool,
}

/// `cargo xtask release`
pub(super) fn release(context: &Context, options: &options::Release) -> Result<()> {
    let released = run(context, options, Pins::Here)?;
    match (&released, &context.runner) {
        (Some(released), Some(runner)) => gha::report(context, runner, released, None, None),
        _ => Ok(()),
    }
}

/// Whose manifests a release pins, besides those of its bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pins {
    /// This checkout's.
    Here,
    /// Somebody else sees to them.
    Elsewhere,
}

/// Releases; gives nothing after a dry run.
pub(super) fn run(context: &Context, options: &options::Release, whose: Pins) -> Result<Option<Released>> {
    let _lock = context.lock()?;
    let no_chart = options.no_pin.then_some("--no-pin leaves its images unpinned");
    let job = Job::new(context, &options.version, &options.what, options.to.to.as_ref(), no_chart)?;
    let ui = &context.ui;
    let destination = context.destination(&job.plan.destination, &job.plan.repositories());
    let (destination, go, shares) = check(context, &job, destination, options)?;
    let store = context.store();

    let built = match shares.is_empty() {
        true => build_images(context, &job, &options.what.builder, &go, &store)?,
        false => import_images(context, &job, &shares, &store)?,
    };
    let sboms = sbom::generate(&built, &sources(context, &go, &store, Some(&job.source)), ui)?;
    let scanned = match &options.skip_scan {
        Some(reason) => Scanned::skipped(built, sboms, reason),
        None => scan_images(context, &job.config, built, sboms, &options.how, &go, &store)?,
    };
    let report = scanned.report();
    show(context, report);
    let packed = pack(context, &job, &scanned, &store)?;
    if options.dry_run {
        return dry_run(context, options, &packed, &*destination).map(|()| None);
    }
    judge(&scanned, &*destination, options.strict, ui)?;

    let published = publish::publish(&packed, &store, &*destination, ui)?;
    let record = publish::commit(&published, report, &store, &*destination, ui)?;
    let (pins, notes) = pool::join(
        || pin::plan(&context.pin_folders(&job.config), &record.pins()),
        || notes(context, &job, &options.what, &record),
    );
    let (pins, notes) = (pins?, notes?);
    let bundle =
        Bundle { context, job: &job, packed: &packed, record: &record, notes: &notes, pins: &pins, store: &store };
    let bundle = bundle.write()?;
    let pinned = match destination.is_registry() && !options.no_pin && whose == Pins::Here {
        true => pins.write()?,
        false => 0,
    };
    let request = verify::Request {
        tag: &record.tags.version,
        record: &job.plan.record,
        published: Some(&published),
        // Its sums are of what was read back from it.
        bundle: None,
        manifests: &bundled_pins(&bundle, &job.config),
    };
    verify::verify(&request, &*destination, ui)?;
    summary::released(&published, report, ui);
    summary::where_it_is(context, &published, &bundle, pinned);
    if options.json {
        ui.data(String::from_utf8_lossy(&record.to_json()?).trim_end());
    }
    Ok(Some(Released { record, bundle, notes, in_registry: destination.is_registry() }))
}

/// The chart of what was built; a plan without one is told.
fn pack<'a>(context: &Context, job: &Job, scanned: &'a Scanned, store: &Store) -> Result<Packed<'a>> {
    let pinned = context.pin_folders(&job.config);
    let notes = context.workspace.cache.join("layers");
    let folder = context.chart_folder(&job.plan);
    let packed = chart::pack(scanned, &chart::Place { folder: &folder, pinned: &pinned, notes: &notes }, store)?;
    if let ChartChoice::Leave(why) = &job.plan.chart {
        context.ui.note(&format!("no Helm chart is released: {why}"));
    }
    Ok(packed)
}

/// What a scan found, for people and for the page of the job.
fn show(context: &Context, report: &scan::Report) {
    scan::show(report, &context.ui);
    if let Some(runner) = &context.runner {
        runner.findings(report, &context.ui);
    }
}

fn notes(context: &Context, job: &Job, what: &options::What, record: &Record) -> Result<String> {
    let spec = context.source_spec(&job.config, what);
    let (facts, version, tag) = (&record.source, &record.version, record.tags.version.as_str());
    Told { config: &job.config, spec: &spec, facts, version, tag }.notes(context, Some(record))
}

/// `cargo xtask build`
pub(super) fn build(context: &Context, options: &options::Build) -> Result<()> {
    let _lock = context.lock()?;
    let job = Job::new(context, &options.version, &options.what, None, None)?;
    options.export.check()?;
    let go = context.go(&job.config)?;
    let mut failures = Failures::default();
    check_builder(context, &job, &options.what.builder, &go, &mut failures);
    failures.stop(Some(()))?;
    let store = context.store();
    let built = build_images(context, &job, &options.what.builder, &go, &store)?;
    options.export.write(context, &built, &store)?;
    summary::built(&built, None, &context.ui);
    if options.json {
        context.ui.data(&summary::json(&summary::Digests::of(&built))?);
    }
    Ok(())
}

/// `cargo xtask scan`
pub(super) fn scan(context: &Context, options: &options::Scan) -> Result<()> {
    let _lock = context.lock()?;
    let config = context.config()?;
    let mut built = context.last_built()?;
    // The policy and the scanners may have changed since; what was built has not.
    built.plan.scan = config.scan.clone();
    built.plan.tools = config.tools.clone();
    let (go, store) = (context.go(&config)?, context.store());
    let sboms = sbom::generate(&built, &sources(context, &go, &store, None), &context.ui)?;
    let scanned = scan_images(context, &config, built, sboms, &options.how, &go, &store)?;
    let report = scanned.report();
    crate::fs::write(&context.workspace.cache.join("scan.json"), &report.to_json()?)?;
    show(context, report);
    options.reports.give(report, &reports::files(context, &config, None), &context.ui)?;
    scanned.gate()
}

/// Preflight: what is wrong is found before anything is built, and told at once.
fn check(
    context: &Context,
    job: &Job,
    destination: Result<Box<dyn publish::Destination>>,
    options: &options::Release,
) -> Result<(Box<dyn publish::Destination>, Go, Vec<Share>)> {
    let ask_registry = move || {
        let mut failures = Failures::default();
        let destination = failures.keep(destination);
        if let Some(destination) = &destination {
            preflight::destination(&job.plan, &**destination, &mut failures);
        }
        (destination, failures)
    };
    let read_files = || {
        let mut failures = Failures::default();
        preflight::source(&job.plan, &job.source, options.allow_dirty, &mut failures);
        preflight::version(&job.plan, &mut failures);
        preflight::pins(&job.plan, &context.pin_folders(&job.config), &context.chart_folder(&job.plan), &mut failures);
        failures.keep(notes::changelog(context, &job.config, &job.plan.version));
        failures
    };
    let (go, (mut failures, (destination, refused))) =
        pool::join(|| context.go(&job.config), || pool::join(read_files, ask_registry));
    failures.extend(refused);
    let go = failures.keep(go);
    let folders = &options.import.folders;
    let shares = match folders.is_empty() {
        true => Some(Vec::new()),
        false => failures.keep(exchange::read(folders, &job.plan)),
    };
    if let (Some(go), true) = (&go, folders.is_empty()) {
        check_builder(context, job, &options.what.builder, go, &mut failures);
    }
    failures.stop(destination.zip(go).zip(shares).map(|((destination, go), shares)| (destination, go, shares)))
}

fn check_builder(context: &Context, job: &Job, which: &builder::Options, go: &Go, failures: &mut Failures) {
    let open_base = |base: &crate::config::Base| context.base(base);
    if let Some(chosen) = failures.keep(Chosen::new(context, &job.config, which, go, &open_base)) {
        for failure in chosen.preflight(&job.plan, context) {
            failures.keep::<()>(Err(failure));
        }
    }
}

fn build_images(context: &Context, job: &Job, which: &builder::Options, go: &Go, store: &Store) -> Result<Built> {
    context.forget_built()?;
    let Context { workspace, ui, .. } = context;
    let source = source::prepare(job.source.clone(), &job.config.source, &job.plan.tools, go, workspace, ui)?;
    let open_base = |base: &crate::config::Base| context.base(base);
    let chosen = Chosen::new(context, &job.config, which, go, &open_base)?;
    let built = chosen.builder().build(&job.plan, &source, store, ui)?;
    context.save_built(&built)?;
    Ok(built)
}

/// What other machines built, as if it had been built here.
fn import_images(context: &Context, job: &Job, shares: &[Share], store: &Store) -> Result<Built> {
    context.forget_built()?;
    let built = exchange::import(shares, &job.plan, store, &context.workspace, &context.ui)?;
    context.save_built(&built)?;
    Ok(built)
}

/// Where SBOMs take from what programs don't say.
fn sources<'a>(context: &'a Context, go: &Go, store: &'a Store, source: Option<&'a Source>) -> sbom::Sources<'a> {
    sbom::Sources {
        store,
        notes: &context.workspace.cache,
        modules: go.module_cache(),
        module: source.map(|source| source.folder.as_path()),
    }
}

fn scan_images(
    context: &Context,
    config: &Config,
    mut built: Built,
    sboms: Sboms,
    how: &options::How,
    go: &Go,
    store: &Store,
) -> Result<Scanned> {
    how.apply(&mut built.plan.scan);
    let pins = built.plan.tools.clone();
    let toolbox = context.toolbox(&pins, go, None, how.offline)?;
    let cache = &context.workspace.cache;
    let layouts = cache.join("layouts");
    let layout_of = |image: &crate::build::BuiltImage| export(image, store, &layouts);
    let options = scan::Options {
        root: &context.workspace.root,
        complete: is_complete(config, &built),
        offline: how.offline,
        toolbox: &toolbox,
        tools_folder: &context.workspace.tools,
        cache_folder: cache,
    };
    scan::scan(built, sboms, &options, go, &layout_of, &context.ui)
}

/// Whether every image of the table was built for every platform of it.
fn is_complete(config: &Config, built: &Built) -> bool {
    let wanted = config.build.platforms.as_slice();
    let is_whole = |image: &crate::build::BuiltImage| {
        wanted.iter().all(|wanted| image.platforms.iter().any(|platform| platform.platform == *wanted))
    };
    built.images.len() == config.images.len() && built.images.iter().all(is_whole)
}

/// Findings refuse every registry; a layout on disk only when asked to.
fn judge(scanned: &Scanned, destination: &dyn publish::Destination, strict: bool, ui: &Ui) -> Result<()> {
    let verdict = scanned.gate();
    if destination.is_registry() || strict {
        return verdict;
    }
    if verdict.is_err() {
        ui.warn("a registry would be refused this release, exit code 4 (--strict refuses a local layout too)");
    }
    Ok(())
}

fn dry_run(
    context: &Context,
    options: &options::Release,
    packed: &Packed<'_>,
    destination: &dyn publish::Destination,
) -> Result<()> {
    let moves = publish::moves(packed, destination)?;
    let scanned = packed.scanned();
    summary::built(scanned.built(), Some(scanned.report()), &context.ui);
    summary::moves(&moves, &context.ui);
    if options.json {
        let digests = summary::Digests::of(scanned.built());
        context.ui.data(&summary::json(&summary::DryRun { digests, tags: &moves })?);
    }
    context.ui.note("a dry run: nothing was published");
    judge(scanned, destination, options.strict, &context.ui)?;
    moves.refusal().map_or(Ok(()), Err)
}

/// What a bundle is made of.
struct Bundle<'a> {
    context: &'a Context,
    job: &'a Job,
    packed: &'a Packed<'a>,
    record: &'a Record,
    notes: &'a str,
    pins: &'a pin::PinPlan,
    store: &'a Store,
}

impl Bundle<'_> {
    /// The release as files.
    fn write(&self) -> Result<PathBuf> {
        let step = self.context.ui.step("write the bundle");
        let draft = Draft::new(&self.context.bundle(&self.job.plan.tags.version))?;
        let (files, layouts) = pool::join(|| self.files(&draft), || self.layouts(&draft));
        files.and(layouts)?;
        let folder = draft.finish()?;
        step.done(&self.context.shown(&folder));
        Ok(folder)
    }

    /// Published by the same protocol as anything else. The record first: nobody sees the draft, and what it says is
    /// attached is what this copy gets.
    fn layouts(&self, draft: &Draft) -> Result<()> {
        let layouts = LayoutDestination::new(draft.folder().join("oci"));
        publish::commit::write(self.record, &self.job.plan.record, self.store, &layouts)?;
        publish::prepare(self.packed, self.store, &layouts, &Ui::silent())?.upload()?.verify()?.tag()?;
        Ok(())
    }

    fn files(&self, draft: &Draft) -> Result<()> {
        let scanned = self.packed.scanned();
        draft.sboms(scanned.sboms())?;
        draft.scan(scanned, &self.job.files)?;
        if let Some((chart, file)) = self.record.bundled_chart() {
            draft.file(&file, &self.store.read(&chart.archive)?)?;
        }
        let config = &self.job.config;
        for (from, path) in self.context.pin_folders(config).iter().zip(&config.pin.paths) {
            self.pins.write_into(from, &draft.folder().join(path.as_path()))?;
        }
        draft.file(FILE, &self.record.to_json()?)?;
        draft.file(crate::notes::FILE, self.notes.as_bytes())
    }
}

/// The pinned manifests of a bundle.
pub(super) fn bundled_pins(bundle: &std::path::Path, config: &Config) -> Vec<PathBuf> {
    config.pin.paths.iter().map(|path| bundle.join(path.as_path())).collect()
}
