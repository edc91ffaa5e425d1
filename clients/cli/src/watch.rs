//! `noesis watch`: any market, live.

use std::time::Duration;

use anyhow::{bail, Result};
use clap::Args;

use crate::{
    flags::MarketFlags,
    follow::{follow, Pools, Update},
    row::{rows, with_pools, Answers, Names},
    screen::{ended, say, Pressed, Screen},
    settings::Settings,
    table,
    view::View,
};

/// How often keys are read and the screen is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Flags of `noesis watch`.
#[derive(Args)]
#[command(after_help = "Example:\n  noesis watch --market text --url ws://127.0.0.1:9900")]
pub struct Arguments {
    #[command(flatten)]
    market: MarketFlags,
}

/// Shows the market until `q`, Ctrl-C or SIGTERM, and leaves the last table behind.
pub async fn run(arguments: Arguments) -> Result<()> {
    let settings = Settings::load()?;
    let market = arguments.market.name(&settings);
    let url = arguments.market.node.url(&settings);
    let mut view = View::new(format!("{market} market at {url}"));
    view.hints.push("q or Ctrl-C ends".into());
    let screen = Screen::open()?;
    let outcome = watch(url, market, &mut view, screen).await;
    if let Some(table) = view.plain(table::width()) {
        say(&table);
    }
    outcome
}

/// Keeps the view and the screen up to date.
async fn watch(url: String, market: String, view: &mut View, mut screen: Screen) -> Result<()> {
    let mut updates = follow(url, market, Pools::Asked);
    let mut tick = tokio::time::interval(TICK);
    let ended = ended()?;
    tokio::pin!(ended);
    loop {
        tokio::select! {
            () = &mut ended => return Ok(()),
            update = updates.recv() => match update {
                Some(update) => take(view, update)?,
                None => bail!("the node's blocks ended"),
            },
            _ = tick.tick() => {
                if screen.pressed()? == Pressed::End {
                    return Ok(());
                }
                screen.draw(view)?;
            }
        }
    }
}

/// Takes up what the follower tells. A node that never answered is an error, one that went away is
/// waited for.
fn take(view: &mut View, update: Update) -> Result<()> {
    match update {
        Update::Snapshot {
            block,
            metagraph,
            pools,
        } => {
            view.stage.clear();
            let rows = rows(&metagraph, &Names::new(), &Answers::new());
            let rows = with_pools(rows, &pools);
            view.show(block, &metagraph, rows);
        }
        Update::Waiting(error) if view.knows_the_market() => view.stage = error.to_string(),
        Update::Waiting(error) | Update::Failed(error) => bail!(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::market;
    use noesis_chain::ChainError;

    fn absent() -> Update {
        Update::Waiting(ChainError::Unreachable {
            url: "ws://127.0.0.1:1".into(),
            reason: "nothing within 5 seconds".into(),
        })
    }

    #[test]
    fn a_node_that_never_answered_is_an_error_and_one_that_went_away_is_waited_for() {
        let mut view = View::new("text market".into());
        let error = take(&mut view, absent()).unwrap_err().to_string();
        assert!(error.contains("no node answers") && error.contains("start one"));

        let snapshot = |block| Update::Snapshot {
            block,
            metagraph: Box::new(market(3, 10)),
            pools: Default::default(),
        };
        take(&mut view, snapshot(34)).unwrap();
        take(&mut view, absent()).unwrap();
        assert_eq!(view.stage, error);
        take(&mut view, snapshot(35)).unwrap();
        assert_eq!(view.stage, "");
    }

    #[test]
    fn without_a_terminal_it_says_what_does_without() {
        if crate::screen::on_terminal() {
            return;
        }
        let error = Screen::open().err().unwrap().to_string();
        assert!(error.contains("noesis market metagraph"), "{error}");
    }
}
