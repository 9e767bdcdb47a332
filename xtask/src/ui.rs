//! What a person sees: steps, progress, notes and tables, all on stderr.
//!
//! On a terminal steps are progress bars, elsewhere plain lines; colour only on a terminal and never with
//! `NO_COLOR`. Never writes to stdout except through [`Ui::data`].

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where messages go; cheap to clone and shared between threads.
#[derive(Clone)]
pub struct Ui {
    bars: MultiProgress,
    mode: Mode,
    verbose: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Terminal,
    Plain,
    Silent,
}

/// How a line is coloured on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Done.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Less important.
    Dim,
}

impl Tone {
    /// `text` in this tone where stderr shows colour.
    pub fn paint(self, text: &str) -> String {
        let style = console::Style::new().for_stderr();
        let style = match self {
            Tone::Plain => return text.to_owned(),
            Tone::Good => style.green(),
            Tone::Warn => style.yellow(),
            Tone::Bad => style.red().bold(),
            Tone::Dim => style.dim(),
        };
        style.apply_to(text).to_string()
    }
}

impl Ui {
    /// Messages for this process's stderr; `verbose` also shows every command run.
    pub fn new(verbose: bool) -> Ui {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let mode = if terminal { Mode::Terminal } else { Mode::Plain };
        Ui { bars: MultiProgress::with_draw_target(target), mode, verbose }
    }

    /// No messages at all, for tests and for `--json` commands that have nothing to tell a person.
    pub fn silent() -> Ui {
        Ui { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), mode: Mode::Silent, verbose: false }
    }

    /// A line on stderr.
    pub fn line(&self, tone: Tone, text: &str) {
        if self.mode != Mode::Silent {
            let text = tone.paint(text);
            self.bars.suspend(|| {
                // Nobody to tell when stderr is closed.
                let _ = writeln!(std::io::stderr(), "{text}");
            });
        }
    }

    /// Something worth knowing that is no failure.
    pub fn note(&self, text: &str) {
        self.line(Tone::Dim, &format!("note: {text}"));
    }

    /// Something that may turn into a failure elsewhere.
    pub fn warn(&self, text: &str) {
        self.line(Tone::Warn, &format!("warning: {text}"));
    }

    /// The line of a command about to run, shown with `--verbose`.
    pub fn command(&self, line: &str) {
        if self.verbose {
            self.line(Tone::Dim, &format!("$ {line}"));
        }
    }

    /// A detail that most people don't need, shown with `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.line(Tone::Dim, text);
        }
    }

    /// Starts a step: a spinner on a terminal, one line with its duration at its end elsewhere.
    pub fn step(&self, what: impl Into<String>) -> Step {
        self.begin(what.into(), None)
    }

    /// Starts a step of `total` bytes.
    pub fn transfer(&self, what: impl Into<String>, total: u64) -> Step {
        self.begin(what.into(), Some(total))
    }

    fn begin(&self, what: String, total: Option<u64>) -> Step {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style("{spinner} {msg} {bar:24} {bytes}/{total_bytes}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")),
        };
        let bar = if self.mode == Mode::Terminal { self.bars.add(bar) } else { ProgressBar::hidden() };
        bar.set_message(what.clone());
        bar.enable_steady_tick(Duration::from_millis(100));
        Step { ui: self.clone(), bar, what, start: Instant::now(), done: false }
    }

    /// Rows under a header, columns aligned; each row in its tone.
    pub fn table(&self, header: &[&str], rows: &[(Tone, Vec<String>)]) {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        table.set_header(header.to_vec());
        for (_, row) in rows {
            table.add_row(row.clone());
        }
        let tones = std::iter::once(Tone::Dim).chain(rows.iter().map(|(tone, _)| *tone));
        for (line, tone) in table.lines().zip(tones) {
            self.line(tone, line.trim_end());
        }
    }

    /// Data on stdout, for a script: the one thing that is not for people.
    pub fn data(&self, text: &str) {
        // A reader that closed the pipe has seen enough.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A step under way; dropped unfinished it leaves no line, because an error will say more.
pub struct Step {
    ui: Ui,
    bar: ProgressBar,
    what: String,
    start: Instant,
    done: bool,
}

impl Step {
    /// Moves a byte bar on.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Ends the step with what came of it.
    pub fn done(mut self, outcome: &str) {
        self.done = true;
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f64();
        let mark = Tone::Good.paint("✓");
        let time = Tone::Dim.paint(&format!("({seconds:.1} s)"));
        self.ui.line(Tone::Plain, &format!("{mark} {} {outcome} {time}", self.what).replace("  ", " "));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.done {
            self.bar.finish_and_clear();
        }
    }
}

/// `bytes` for a person, in binary units.
pub fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
