//! Endpoints: where a neuron can be reached.

use crate::{pallet::*, types::*};
use alloc::vec::Vec;
use frame_support::{ensure, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use market_primitives::{MarketId, Uid};
use sp_runtime::DispatchResult;

impl<T: Config> Pallet<T>
where
    BlockNumberFor<T>: Into<u32>,
{
    /// Publishes where `hotkey` serves.
    pub(crate) fn do_serve(
        market: MarketId,
        hotkey: T::AccountId,
        endpoint: Vec<u8>,
        certificate: Option<[u8; 32]>,
    ) -> DispatchResult {
        let uid = Self::check_serve(market, &hotkey, &endpoint)?;
        let address = BoundedVec::try_from(endpoint).map_err(|_| Error::<T>::EndpointInvalid)?;
        let published_at = Self::now();
        Endpoints::<T>::insert(
            market,
            uid,
            Endpoint {
                address,
                certificate,
                published_at,
            },
        );
        Self::deposit_event(Event::Serving { market, uid });
        Ok(())
    }

    /// Everything that can be wrong with a call of `serve`; the pool asks this too.
    pub(crate) fn check_serve(
        market: MarketId,
        hotkey: &T::AccountId,
        endpoint: &[u8],
    ) -> Result<Uid, Error<T>> {
        let rules = Self::market(market)?.parameters;
        let uid = Self::uid(market, hotkey)?;
        ensure!(is_host_and_port(endpoint), Error::EndpointInvalid);
        if let Some(last) = Endpoints::<T>::get(market, uid) {
            let age = Self::now().saturating_sub(last.published_at);
            ensure!(age >= rules.weights_rate_limit, Error::ServeTooEarly);
        }
        Ok(uid)
    }
}

/// Whether these bytes are `host:port` and fit the bound; a host is a name, or an address, in brackets
/// where it holds colons. Names are not resolved.
fn is_host_and_port(endpoint: &[u8]) -> bool {
    if endpoint.len() > market_primitives::MAX_ENDPOINT_LENGTH as usize {
        return false;
    }
    let Ok(text) = core::str::from_utf8(endpoint) else {
        return false;
    };
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    !host.is_empty()
        && host.bytes().all(is_of_host)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}
