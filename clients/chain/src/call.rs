//! The calls that clients make, before they are signed.

use market_primitives::{MarketId, Modality, Share, Uid, MAX_ENDPOINT_LENGTH};
use subxt::{dynamic::Value, ext::scale_value::Composite, tx};

use crate::{
    error::{PALLET, SUDO},
    AccountId, MarketError, ParameterValue, Parameters, PoolId, Rules,
};

/// A call of the chain, not yet signed. Amounts are in units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Takes a slot for `hotkey`; the signing coldkey burns at most `max_cost`.
    Register {
        /// Which market.
        market: MarketId,
        /// Who serves and votes.
        hotkey: AccountId,
        /// Most that it may cost.
        max_cost: u64,
    },
    /// Gives up the slot of the signing coldkey's neuron.
    Deregister {
        /// Which market.
        market: MarketId,
        /// Whose slot.
        hotkey: AccountId,
    },
    /// Lets another hotkey speak for the signing coldkey's neuron.
    SwapHotkey {
        /// Which market.
        market: MarketId,
        /// Who spoke for it.
        hotkey: AccountId,
        /// Who will.
        new_hotkey: AccountId,
    },
    /// Publishes where the signing hotkey serves.
    Serve {
        /// Which market.
        market: MarketId,
        /// `host:port`.
        endpoint: String,
        /// BLAKE3 fingerprint of its TLS certificate.
        certificate: Option<[u8; 32]>,
    },
    /// Sets the signing hotkey's row of weights.
    SetWeights {
        /// Which market.
        market: MarketId,
        /// Pairs of uid and weight, strictly increasing in uid.
        weights: Vec<(Uid, u16)>,
    },
    /// Commits the signing hotkey to a row.
    CommitWeights {
        /// Which market.
        market: MarketId,
        /// The row's [`commitment`](crate::commitment).
        hash: [u8; 32],
    },
    /// Shows the row that the signing hotkey committed to.
    RevealWeights {
        /// Which market.
        market: MarketId,
        /// Pairs of uid and weight, strictly increasing in uid.
        weights: Vec<(Uid, u16)>,
        /// What hid the row.
        salt: [u8; 32],
    },
    /// Moves units from the signing coldkey into the slot of its hotkey.
    AddStake {
        /// Which market.
        market: MarketId,
        /// Whose slot.
        hotkey: AccountId,
        /// How much.
        amount: u64,
    },
    /// Moves units from the slot of a hotkey back to its coldkey, which signs.
    RemoveStake {
        /// Which market.
        market: MarketId,
        /// Whose slot.
        hotkey: AccountId,
        /// How much.
        amount: u64,
    },
    /// Buys shares of the pool behind a neuron, for units of the signing account.
    Delegate {
        /// Which market.
        market: MarketId,
        /// Behind whom.
        hotkey: AccountId,
        /// Most that the shares may cost.
        amount: u64,
    },
    /// Sells shares of a pool that the signing account holds.
    Undelegate {
        /// Which pool.
        pool: PoolId,
        /// How many.
        shares: u64,
    },
    /// Sets what the signing coldkey takes of what others' units earn behind its neuron.
    SetTake {
        /// Which market.
        market: MarketId,
        /// Whose pool.
        hotkey: AccountId,
        /// What is taken.
        take: Share,
    },
    /// Opens a market. Signed by the sudo key, as root.
    CreateMarket {
        /// What it trades.
        modality: Modality,
        /// Its rules.
        rules: Rules,
    },
    /// Decides on the rules of a market from its next epoch on. Signed by the sudo key, as root.
    SetParameters {
        /// Which market.
        market: MarketId,
        /// All of its rules, the old among them.
        rules: Rules,
    },
    /// Sends units from the signing account to another.
    Transfer {
        /// To whom.
        to: AccountId,
        /// How much.
        amount: u64,
    },
}

impl Call {
    /// The pallet and the call as the runtime names them.
    pub fn name(&self) -> (&'static str, &'static str) {
        match self {
            Self::Register { .. } => (PALLET, "register"),
            Self::Deregister { .. } => (PALLET, "deregister"),
            Self::SwapHotkey { .. } => (PALLET, "swap_hotkey"),
            Self::Serve { .. } => (PALLET, "serve"),
            Self::SetWeights { .. } => (PALLET, "set_weights"),
            Self::CommitWeights { .. } => (PALLET, "commit_weights"),
            Self::RevealWeights { .. } => (PALLET, "reveal_weights"),
            Self::AddStake { .. } => (PALLET, "add_stake"),
            Self::RemoveStake { .. } => (PALLET, "remove_stake"),
            Self::Delegate { .. } => (PALLET, "delegate"),
            Self::Undelegate { .. } => (PALLET, "undelegate"),
            Self::SetTake { .. } => (PALLET, "set_take"),
            Self::CreateMarket { .. } => (PALLET, "create_market"),
            Self::SetParameters { .. } => (PALLET, "set_parameters"),
            Self::Transfer { .. } => ("Balances", "transfer_allow_death"),
        }
    }

    /// Whether the chain takes it without a fee from a hotkey that holds a slot.
    pub fn free_for_neurons(&self) -> bool {
        matches!(
            self,
            Self::Serve { .. }
                | Self::SetWeights { .. }
                | Self::CommitWeights { .. }
                | Self::RevealWeights { .. }
        )
    }

    /// Whether root alone may do it: it goes to the pallet `Sudo`, which gives its key the fee back.
    pub fn by_root(&self) -> bool {
        matches!(self, Self::CreateMarket { .. } | Self::SetParameters { .. })
    }

    /// Refuses what no market takes, before anything is sent.
    pub(crate) fn check(&self) -> Result<(), MarketError> {
        match self {
            // What the pallet's bound forbids cannot even be encoded.
            Self::Serve { endpoint, .. }
                if endpoint.is_empty() || endpoint.len() > MAX_ENDPOINT_LENGTH as usize =>
            {
                Err(MarketError::EndpointInvalid)
            }
            Self::SetWeights { weights, .. } | Self::RevealWeights { weights, .. }
                if !weights.windows(2).all(|pair| pair[0].0 < pair[1].0) =>
            {
                Err(MarketError::WeightsUnsorted)
            }
            _ => Ok(()),
        }
    }

    /// The call as subxt encodes it against the metadata of the node.
    pub(crate) fn payload(&self) -> tx::DynamicPayload<Composite<()>> {
        let (pallet, call) = self.name();
        let arguments = Composite::unnamed(self.arguments());
        if !self.by_root() {
            return tx::dynamic(pallet, call, arguments);
        }
        let call = Value::variant(call, arguments);
        let call = Value::unnamed_variant(pallet, [call]);
        tx::dynamic(SUDO, "sudo", Composite::unnamed([call]))
    }

    /// The arguments, in the runtime's order.
    fn arguments(&self) -> Vec<Value> {
        let number = |number: u64| Value::u128(number.into());
        let market = |market: &MarketId| number((*market).into());
        let account = |account: &AccountId| Value::from_bytes(account.0);
        match self {
            Self::Register {
                market: id,
                hotkey,
                max_cost,
            } => vec![market(id), account(hotkey), number(*max_cost)],
            Self::Deregister { market: id, hotkey } => vec![market(id), account(hotkey)],
            Self::SwapHotkey {
                market: id,
                hotkey,
                new_hotkey,
            } => vec![market(id), account(hotkey), account(new_hotkey)],
            Self::Serve {
                market: id,
                endpoint,
                certificate,
            } => vec![
                market(id),
                Value::from_bytes(endpoint),
                match certificate {
                    Some(fingerprint) => {
                        Value::unnamed_variant("Some", [Value::from_bytes(fingerprint)])
                    }
                    None => Value::unnamed_variant("None", []),
                },
            ],
            Self::SetWeights {
                market: id,
                weights,
            } => vec![market(id), row(weights)],
            Self::CommitWeights { market: id, hash } => vec![market(id), Value::from_bytes(hash)],
            Self::RevealWeights {
                market: id,
                weights,
                salt,
            } => vec![market(id), row(weights), Value::from_bytes(salt)],
            Self::AddStake {
                market: id,
                hotkey,
                amount,
            }
            | Self::RemoveStake {
                market: id,
                hotkey,
                amount,
            }
            | Self::Delegate {
                market: id,
                hotkey,
                amount,
            } => vec![market(id), account(hotkey), number(*amount)],
            Self::Undelegate { pool, shares } => vec![number(*pool), number(*shares)],
            Self::SetTake {
                market: id,
                hotkey,
                take,
            } => vec![market(id), account(hotkey), number(take.0)],
            Self::CreateMarket { modality, rules } => vec![Value::named_composite([
                (
                    "modality",
                    Value::unnamed_variant(format!("{modality:?}"), []),
                ),
                ("emission_share", number(rules.emission_share.0)),
                ("parameters", parameters(&rules.parameters)),
            ])],
            Self::SetParameters { market: id, rules } => vec![
                market(id),
                number(rules.emission_share.0),
                parameters(&rules.parameters),
            ],
            Self::Transfer { to, amount } => {
                vec![Value::unnamed_variant("Id", [account(to)]), number(*amount)]
            }
        }
    }
}

/// Parameters by their names.
fn parameters(parameters: &Parameters) -> Value {
    Value::named_composite(parameters.iter().map(|(name, value)| {
        let value = match value {
            ParameterValue::Number(number) => Value::u128((*number).into()),
            ParameterValue::Truth(truth) => Value::bool(*truth),
        };
        (name.clone(), value)
    }))
}

/// A row of weights.
fn row(weights: &[(Uid, u16)]) -> Value {
    Value::unnamed_composite(weights.iter().map(|(uid, weight)| {
        Value::unnamed_composite([Value::u128((*uid).into()), Value::u128((*weight).into())])
    }))
}
