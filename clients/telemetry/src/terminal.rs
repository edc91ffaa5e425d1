//! What is drawn on the terminal that standard error may be: bars, and a line that is kept up to date, both below the log,
//! whose lines go through here so that they tear nothing. Where there is no terminal, nothing is drawn.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    io::{self, IsTerminal, Write},
    sync::LazyLock,
};

/// All that is drawn. There is one terminal, and whoever writes there has to know.
static DRAWN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// The same bar, drawn below the log.
pub fn below_the_log(bar: ProgressBar) -> ProgressBar {
    DRAWN.add(bar)
}

/// A line that is kept up to date, and gone when this is dropped.
#[derive(Debug)]
pub struct Line(ProgressBar);

impl Line {
    /// A line, where there is a terminal for it.
    pub fn on_terminal() -> Option<Self> {
        Self::drawn(ProgressBar::new_spinner(), "{spinner} {msg}")
    }

    /// The same with a bar of so many steps, of which some are done, and the time left.
    pub fn of_steps(done: u64, steps: u64) -> Option<Self> {
        let bar = ProgressBar::new(steps).with_position(done);
        Self::drawn(bar, "{bar:30} {eta} left, {msg}")
    }

    fn drawn(bar: ProgressBar, template: &str) -> Option<Self> {
        if DRAWN.is_hidden() {
            return None;
        }
        let bar = below_the_log(bar);
        bar.set_style(ProgressStyle::with_template(template).expect("the templates are fixed"));
        // What was done before says nothing of how long the rest takes: it is taken note of, and no time with it.
        bar.tick();
        bar.reset_eta();
        Some(Self(bar))
    }

    /// Has it say this, at this step.
    pub fn say(&self, step: u64, words: String) {
        self.0.set_message(words);
        self.0.set_position(step);
        self.0.tick();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Standard error, above what is drawn there.
#[derive(Debug)]
pub(crate) struct AboveLines;

impl Write for AboveLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A terminal that is gone is none any more, and drawing there would not only fail but panic.
        if DRAWN.is_hidden() || !io::stderr().is_terminal() {
            return io::stderr().write(bytes);
        }
        DRAWN.suspend(|| io::stderr().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
