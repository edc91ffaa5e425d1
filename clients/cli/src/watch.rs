//! `noesis watch`: any market, live.

use std::time::Duration;

use anyhow::{bail, Result};
use clap::Args;

use crate::{
    follow::{follow, Update},
    row::{rows, Answers, Names},
    screen::{ended, Screen},
    view::View,
};

/// How often keys are read and the screen is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Flags of `noesis watch`.
#[derive(Args)]
#[command(after_help = "Example:\n  noesis watch --market text --url ws://127.0.0.1:9900")]
pub struct Arguments {
    /// Which market: text, image, tensor, or its number.
    #[arg(long, default_value = "text")]
    market: String,
    /// Address of the node.
    #[arg(long, default_value = "ws://127.0.0.1:9944")]
    url: String,
}

/// Shows the market until `q`, Ctrl-C or SIGTERM.
pub async fn run(arguments: Arguments) -> Result<()> {
    let mut view = View::new(format!("{} market at {}", arguments.market, arguments.url));
    view.hints.push("q or Ctrl-C ends".into());
    let mut updates = follow(arguments.url, arguments.market);
    let mut screen = Screen::open()?;
    let mut tick = tokio::time::interval(TICK);
    let ended = ended()?;
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => return Ok(()),
            update = updates.recv() => match update {
                Some(Update::Snapshot { block, metagraph }) => {
                    view.stage.clear();
                    let rows = rows(&metagraph, &Names::new(), &Answers::new());
                    view.show(block, &metagraph, rows);
                }
                Some(Update::Waiting(error)) => view.stage = error.to_string(),
                Some(Update::Failed(error)) => bail!(error),
                None => bail!("the node's blocks ended"),
            },
            _ = tick.tick() => {
                if screen.asked_to_end()? {
                    return Ok(());
                }
                screen.draw(&view)?;
            }
        }
    }
}
