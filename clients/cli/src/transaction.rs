//! A call from the plan to its block: shown, confirmed, signed, sent, told.

use std::io::{self, Write};

use anyhow::{Context, Result};
use noesis_chain::{AccountId, Call, Chain, Rehearsal, Sent};
use noesis_keys::{on_terminal, KeyFile};
use serde_json::{json, Map, Value};

use crate::{
    amount::Amount,
    exit::NotConfirmed,
    flags::{passwords, SigningFlags},
    screen::say,
    settings::Settings,
    table,
};

/// Something to know about a call before it is sent: a label, in words, and for programs.
pub struct Fact(String, String, Value);

impl Fact {
    /// What people are told.
    #[cfg(test)]
    pub fn words(&self) -> &str {
        &self.1
    }

    /// An amount.
    pub fn amount(label: &'static str, units: u64) -> Self {
        Self(label.into(), Amount(units).to_string(), units.into())
    }

    /// An account.
    pub fn account(label: &'static str, account: AccountId) -> Self {
        Self::text(label, account.to_string())
    }

    /// A number.
    pub fn number(label: &'static str, number: u64) -> Self {
        Self(label.into(), number.to_string(), number.into())
    }

    /// Anything else.
    pub fn text(label: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(label.into(), text.clone(), text.into())
    }

    /// Anything else that is one thing for people and another for programs.
    pub fn both(label: impl Into<String>, words: String, value: impl Into<Value>) -> Self {
        Self(label.into(), words, value.into())
    }
}

/// A call, who signs it, and what there is to know about it.
pub struct Plan<'a> {
    /// The call.
    pub call: Call,
    /// Who signs it.
    pub key: &'a KeyFile,
    /// What it does.
    pub facts: Vec<Fact>,
    /// What it takes at most from the signer's balance, in units, beside the fee.
    pub costs: u64,
}

/// What became of a call.
pub enum Outcome {
    /// Nothing was to be sent.
    DryRun,
    /// It waits for a block.
    SentOff,
    /// The block that holds it is finalized.
    Done,
}

/// A call was tried out and would fail. It is printed, as one that is done is, where its error is told: who goes on to
/// another call instead prints one thing all the same.
#[derive(Debug, thiserror::Error)]
#[error("tried out: it would fail now")]
pub struct WouldFail(
    /// What is printed of it.
    pub String,
);

/// What of a call is told at its end.
pub struct Told<'a> {
    flags: &'a SigningFlags,
    json: Map<String, Value>,
    lines: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// The call in its block, once that is finalized.
    pub sent: Option<Sent>,
}

/// Shows the call and, unless that is all, has it confirmed, signs it, sends it and waits for its block.
pub async fn carry_out<'a>(
    chain: &Chain,
    settings: &Settings,
    flags: &'a SigningFlags,
    plan: Plan<'_>,
) -> Result<Told<'a>> {
    let signer = plan.key.account();
    let preview = chain.preview(signer, &plan.call).await?;
    // Free calls are planned only for hotkeys that hold a slot, and root's for the sudo key.
    let (fee, returned) = match &plan.call {
        call if call.free_for_neurons() => (0, 0),
        call if call.by_root() => (0, preview.fee),
        _ => (preview.fee, 0),
    };
    let (pallet, name) = plan.call.name();
    let call = match plan.call.by_root() {
        true => format!("Sudo.sudo of {pallet}.{name}"),
        false => format!("{pallet}.{name}"),
    };
    let mut facts = vec![Fact::text("call", call), Fact::account("signer", signer)];
    facts.extend(plan.facts);
    facts.push(Fact::amount("fee", fee));
    if returned > 0 {
        let words = format!("{}, taken first and given back", Amount(returned));
        facts.push(Fact::both("fee_returned", words, returned));
    }
    let costs = plan.costs.saturating_add(fee);
    if costs > 0 || returned > 0 {
        facts.push(balance(chain.balance(signer).await?, costs, returned));
    }
    facts.push(Fact::text(
        "call_data",
        format!("0x{}", hex::encode(preview.call_data)),
    ));
    let mut told = Told {
        flags,
        json: Map::new(),
        lines: Vec::new(),
        outcome: Outcome::DryRun,
        sent: None,
    };
    let shown = table::pairs(
        facts
            .iter()
            .map(|Fact(label, words, _)| (label.as_str(), words.as_str())),
    );
    match (flags.dry_run, flags.yes) {
        // With what comes of it.
        (true, _) => told.lines.push(shown),
        // Where the question will stand.
        (false, false) => eprintln!("{shown}"),
        _ => {}
    }
    for Fact(label, _, value) in facts {
        told.json.insert(label, value);
    }
    if flags.dry_run {
        told.json.insert("dry_run".into(), true.into());
        told.lines.push("nothing was sent".into());
        let rehearsal = rehearse(chain, settings, flags, plan.key, &plan.call).await?;
        return told.rehearsed(rehearsal);
    }
    if !flags.yes {
        confirm()?;
    }
    let words = format!("{} ({signer})", plan.key.name().unwrap_or("the key"));
    let password = passwords(&flags.password, settings).password(&words)?;
    let keypair = plan.key.open(&password)?;
    drop(password);
    if flags.no_wait {
        let hash = chain.send_off(&keypair, &plan.call).await?;
        told.tell("transaction", hex_of(&hash));
        told.lines.push(format!("sent as {}", hex_of(&hash)));
        told.outcome = Outcome::SentOff;
    } else {
        let sent = chain.send(&keypair, &plan.call).await?;
        let Sent { transaction, block } = sent;
        told.sent = Some(sent);
        told.tell("transaction", hex_of(&transaction));
        told.tell("block", hex_of(&block));
        told.lines.push(format!("done in block {}", hex_of(&block)));
        told.outcome = Outcome::Done;
    }
    Ok(told)
}

/// Lets the node try the call out, which takes a signature: where the password needs nobody to be asked.
async fn rehearse(
    chain: &Chain,
    settings: &Settings,
    flags: &SigningFlags,
    key: &KeyFile,
    call: &Call,
) -> Result<Rehearsal> {
    let Some(password) = passwords(&flags.password, settings).given()? else {
        let reason =
            "the node tries it out where --password-file or NOESIS_PASSWORD has the password";
        return Ok(Rehearsal::NotTried(reason.into()));
    };
    Ok(chain.rehearse(&key.open(&password)?, call).await)
}

impl Told<'_> {
    /// Adds what came of trying the call out. Fails where the call failed.
    fn rehearsed(mut self, rehearsal: Rehearsal) -> Result<Self> {
        self.tell("tried", !matches!(rehearsal, Rehearsal::NotTried(_)));
        match rehearsal {
            Rehearsal::Done => self.line("tried out: it would be done now".into()),
            Rehearsal::NotTried(reason) => self.line(format!("not tried out: {reason}")),
            Rehearsal::Failed(error) => {
                self.tell("would_fail", error.to_string());
                return Err(error).context(WouldFail(self.text()));
            }
        }
        Ok(self)
    }

    /// Adds something for programs.
    pub fn tell(&mut self, label: &str, value: impl Into<Value>) {
        self.json.insert(label.into(), value.into());
    }

    /// Adds something for people.
    pub fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Prints it.
    pub fn print(self) {
        say(&self.text());
    }

    /// What is printed of it.
    fn text(&self) -> String {
        match self.flags.output.json {
            true => json!(self.json).to_string(),
            false => self.lines.join("\n"),
        }
    }
}

/// The balance before and after, and whether it also has what is given back.
fn balance(before: u64, costs: u64, returned: u64) -> Fact {
    let needed = costs.saturating_add(returned);
    let words = match before.checked_sub(needed) {
        Some(_) => format!(
            "{}, then at least {}",
            Amount(before),
            Amount(before - costs)
        ),
        None => format!(
            "{}, which is {} too little",
            Amount(before),
            Amount(needed - before)
        ),
    };
    Fact::both("balance", words, before)
}

/// Asks whether to send it.
fn confirm() -> Result<()> {
    if !on_terminal() {
        return Err(NotConfirmed::NobodyToAsk.into());
    }
    eprint!("Send it? [y/N] ");
    io::stderr().flush().context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot ask")?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(NotConfirmed::Declined.into()),
    }
}

/// Bytes as hexadecimal digits after `0x`.
fn hex_of(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use noesis_chain::{ChainError, MarketError, NOE};

    #[test]
    fn the_balance_says_what_is_left_or_lacking() {
        let words = |before, costs, returned| balance(before, costs, returned).1;
        assert_eq!(words(3 * NOE, NOE, 0), "3 NOE, then at least 2 NOE");
        assert_eq!(words(NOE, 3 * NOE, 0), "1 NOE, which is 2 NOE too little");
        assert_eq!(words(NOE, 0, NOE), "1 NOE, then at least 1 NOE");
        assert_eq!(words(0, 0, NOE), "0 NOE, which is 1 NOE too little");
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: SigningFlags,
    }

    #[test]
    fn what_is_printed_of_a_call_that_would_fail_goes_with_its_error() {
        for format in ["--json", "--yes"] {
            let flags = Line::parse_from(["noesis", "--dry-run", format]).flags;
            let told = Told {
                flags: &flags,
                json: Map::new(),
                lines: vec!["nothing was sent".into()],
                outcome: Outcome::DryRun,
                sent: None,
            };
            let early = ChainError::Market(MarketError::RevealTooEarly);
            let error = told.rehearsed(Rehearsal::Failed(early)).err().unwrap();
            assert!(matches!(
                error.downcast_ref(),
                Some(ChainError::Market(MarketError::RevealTooEarly))
            ));
            let WouldFail(printed) = error.downcast_ref::<WouldFail>().unwrap();
            match flags.output.json {
                true => {
                    let printed: Value = serde_json::from_str(printed).unwrap();
                    assert_eq!(printed["tried"], json!(true));
                    assert!(printed["would_fail"].is_string(), "{printed}");
                }
                false => assert_eq!(printed, "nothing was sent"),
            }
        }
    }

    #[test]
    fn without_a_terminal_nobody_is_waited_for() {
        if on_terminal() {
            return;
        }
        let error = confirm().unwrap_err();
        assert_eq!(crate::exit::code(&error), 6);
        assert!(error.to_string().contains("--yes"));
    }
}
