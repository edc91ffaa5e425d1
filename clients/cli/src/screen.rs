//! The terminal while it is ours: restored whatever happens.

use std::{
    future::Future,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::{bail, Context, Result};
use ratatui::{
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    DefaultTerminal,
};
use tokio::signal::unix::{signal, SignalKind};

use crate::view::{draw, View};

/// What somebody wants who presses a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Nothing.
    Nothing,
    /// To end: `q` or Ctrl-C.
    End,
    /// To see the next, where there are several: Tab.
    Next,
}

/// The alternate screen in raw mode; dropping it, and any panic, gives the terminal back.
pub struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal, where there is one.
    pub fn open() -> Result<Self> {
        if !on_terminal() {
            bail!(
                "a live table needs a terminal: `noesis market metagraph` prints the market without one"
            );
        }
        ratatui::try_init()
            .map(|terminal| Self { terminal })
            .inspect_err(|_| ratatui::restore())
            .context(
                "cannot take the terminal: `noesis market metagraph` prints the market without",
            )
    }

    /// Draws the state.
    pub fn draw(&mut self, view: &View) -> io::Result<()> {
        self.terminal.draw(|frame| draw(frame, view)).map(drop)
    }

    /// Reads the keys pressed since the last call, up to the first that means something.
    pub fn pressed(&mut self) -> io::Result<Pressed> {
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else {
                continue;
            };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match key.code {
                _ if key.kind != KeyEventKind::Press => {}
                KeyCode::Char('q') => return Ok(Pressed::End),
                KeyCode::Char('c') if control => return Ok(Pressed::End),
                KeyCode::Tab => return Ok(Pressed::Next),
                _ => {}
            }
        }
        Ok(Pressed::Nothing)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Whether there is a terminal to draw on and to read keys from.
pub fn on_terminal() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Prints a line for whoever still reads; a closed pipe is no reason to fail.
pub fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Completes at the first SIGINT, SIGTERM or SIGHUP after this call.
pub fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    })
}
