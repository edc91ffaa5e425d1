//! TLS with a pinned certificate: spoken where it is published, and with nobody else.

mod common;

use std::{fs, os::unix::fs::PermissionsExt};

use common::{
    echo, hotkey, key, limits, start, start_on, tokens, validator, Running, Toy, GENESIS, SOON,
};
use noesis_neuron::{Certificate, Client, Failure, Limits, Listener, Modality, Peer, Tensor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{timeout, Duration},
};

async fn start_tls(limits: Limits) -> (Running, Certificate) {
    let certificate = Certificate::fresh().expect("made");
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound");
    let listener = Listener::with_tls(tcp, certificate.clone());
    let running = start_on(address, listener, Toy::default(), limits).await;
    (running, certificate)
}

async fn ask(peer: &Peer) -> Result<Tensor, Failure> {
    validator()
        .forward(peer, Modality::Text, &tokens([1, 3]), SOON)
        .await
}

fn under(neuron: &Running, certificate: Option<[u8; 32]>) -> Peer {
    Peer {
        certificate,
        ..neuron.peer()
    }
}

#[tokio::test]
async fn the_published_certificate_is_accepted_and_large_answers_come_through() {
    let (neuron, certificate) = start_tls(limits()).await;
    let peer = under(&neuron, Some(certificate.fingerprint()));
    let inputs = tokens([64, 4096]);
    let client = validator();
    for _ in 0..2 {
        let answer = client.forward(&peer, Modality::Text, &inputs, SOON).await;
        assert_eq!(answer, Ok(echo(&inputs)));
    }
}

#[tokio::test]
async fn any_other_certificate_is_refused_in_words() {
    let (neuron, _) = start_tls(limits()).await;
    let other = Certificate::fresh().expect("made").fingerprint();
    let answer = ask(&under(&neuron, Some(other))).await;
    let Err(Failure::Unauthenticated(words)) = answer else {
        panic!("{answer:?}");
    };
    assert!(words.contains(&hex::encode(other)), "{words}");
    assert_eq!(neuron.reached(), 0);
}

#[tokio::test]
async fn a_peer_with_a_certificate_is_never_spoken_to_in_the_clear() {
    let neuron = start(Toy::default(), limits()).await;
    let published = Certificate::fresh().expect("made").fingerprint();
    let peer = under(&neuron, Some(published));
    let client = validator().in_the_clear();
    let answer = client
        .forward(&peer, Modality::Text, &tokens([1, 3]), SOON)
        .await;
    assert!(matches!(answer, Err(Failure::Unreachable(_))), "{answer:?}");
    assert_eq!(neuron.reached(), 0);
}

#[tokio::test]
async fn a_neuron_with_tls_does_not_speak_in_the_clear() {
    let (neuron, _) = start_tls(limits()).await;
    let answer = ask(&under(&neuron, None)).await;
    assert!(matches!(answer, Err(Failure::Unreachable(_))), "{answer:?}");
    assert_eq!(neuron.reached(), 0);
}

#[tokio::test]
async fn without_a_certificate_only_this_machine_is_spoken_to_unless_allowed() {
    let neuron = start(Toy::default(), limits()).await;
    assert!(ask(&neuron.peer()).await.is_ok());
    // The same place under a name: nothing in it says that it is on this machine.
    let named = Peer {
        hotkey: hotkey("//Miner"),
        endpoint: format!("localhost:{}", neuron.address.port()),
        certificate: None,
    };
    let answer = ask(&named).await;
    let Err(Failure::Unreachable(words)) = answer else {
        panic!("{answer:?}");
    };
    assert!(words.contains("certificate"), "{words}");
    let client = Client::new(key("//Validator"), GENESIS).in_the_clear();
    let answer = client
        .forward(&named, Modality::Text, &tokens([1, 3]), SOON)
        .await;
    assert_eq!(answer, Ok(echo(&tokens([1, 3]))));
}

#[tokio::test]
async fn rude_handshakes_end_and_delay_nobody() {
    let limits = Limits {
        handshake: Duration::from_millis(200),
        ..limits()
    };
    let (neuron, certificate) = start_tls(limits).await;
    let mut mute = TcpStream::connect(neuron.address).await.expect("connects");
    let mut garbage = TcpStream::connect(neuron.address).await.expect("connects");
    garbage.write_all(&[0x55; 4000]).await.expect("written");
    let peer = under(&neuron, Some(certificate.fingerprint()));
    assert!(ask(&peer).await.is_ok());
    for stream in [&mut mute, &mut garbage] {
        let mut buffer = [0; 64];
        let ended = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
        timeout(SOON, ended).await.expect("the neuron hangs up");
    }
}

#[tokio::test]
async fn handshakes_that_never_come_do_not_take_the_room_of_all() {
    let limits = Limits {
        connections_per_address: 3,
        handshake: Duration::from_secs(600),
        ..limits()
    };
    let (neuron, certificate) = start_tls(limits).await;
    let mut mute = Vec::new();
    for _ in 0..20 {
        mute.push(TcpStream::connect(neuron.address).await.expect("connects"));
    }
    let newest = mute.split_off(17);
    let mut buffer = [0; 1];
    for mut stream in mute {
        let ended = timeout(SOON, stream.read(&mut buffer)).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    }
    for mut stream in newest {
        let silent = timeout(Duration::from_millis(50), stream.read(&mut buffer)).await;
        assert!(silent.is_err(), "{silent:?}");
    }
    let peer = under(&neuron, Some(certificate.fingerprint()));
    assert!(ask(&peer).await.is_ok());
}

#[tokio::test]
async fn the_certificate_is_kept_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tls.pem");
    let made = Certificate::keep_at(&path).expect("made");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Certificate::keep_at(&path).expect("read");
    assert_eq!(made.fingerprint(), again.fingerprint());
    let other = Certificate::fresh().expect("made");
    assert_ne!(made.fingerprint(), other.fingerprint());
    for broken in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        fs::write(&path, broken).expect("written");
        let words = Certificate::keep_at(&path).expect_err("broken").to_string();
        assert!(words.contains("delete"), "{words}");
    }
    assert!(Certificate::keep_at(&folder.path().join("none/tls.pem")).is_err());
    assert!(!format!("{made:?}").contains("PRIVATE"));
}
