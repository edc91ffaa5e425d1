//! Endpoints.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};

fn serve(endpoint: &[u8]) -> sp_runtime::DispatchResult {
    MarketPallet::serve(
        RuntimeOrigin::signed(hotkey(1)),
        TEXT,
        endpoint.to_vec(),
        None,
    )
}

#[test]
fn an_endpoint_is_published_and_changed() {
    on_chain(|| {
        register(1);
        assert_ok!(serve(b"127.0.0.1:9001"));
        let endpoint = || shown(0).endpoint;
        assert_eq!(endpoint().as_deref(), Some("127.0.0.1:9001"));
        run_to(6);
        assert_ok!(serve(b"[::1]:9001"));
        assert_eq!(endpoint().as_deref(), Some("[::1]:9001"));
    });
}

#[test]
fn what_is_no_endpoint_is_refused() {
    on_chain(|| {
        register(1);
        let long = [b"a".repeat(126).as_slice(), b":80"].concat();
        let wrong: [&[u8]; 11] = [
            b"http://host:80",
            b"<host>:80",
            b"",
            b"host",
            b":80",
            b"host:",
            b"host:0",
            b"host:65536",
            b"ho st:80",
            b"\xff:80",
            &long,
        ];
        for endpoint in wrong {
            assert_noop!(serve(endpoint), Error::<Test>::EndpointInvalid);
        }
        assert_noop!(serve(b"host:+80"), Error::<Test>::EndpointInvalid);
        assert_ok!(serve(&long[1..]));
    });
}

#[test]
fn too_early_unregistered_and_wrong_market_are_refused() {
    on_chain(|| {
        assert_noop!(serve(b"host:80"), Error::<Test>::NotRegistered);
        register(1);
        assert_ok!(serve(b"host:80"));
        run_to(5);
        assert_noop!(serve(b"host:81"), Error::<Test>::ServeTooEarly);
        assert_noop!(
            MarketPallet::serve(
                RuntimeOrigin::signed(hotkey(1)),
                7,
                b"host:80".to_vec(),
                None
            ),
            Error::<Test>::UnknownMarket
        );
    });
}
