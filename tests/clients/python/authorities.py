"""What an operator does and sees of authorities, with substrate-interface.

Usage: authorities.py join URL URL_OF_THE_THIRD
       authorities.py twin URL
       authorities.py votes URL
"""

import hashlib
import struct
import sys
import time

from scalecodec.base import ScaleBytes
from substrateinterface import Keypair, KeypairType, SubstrateInterface
from substrateinterface.constants import DEV_PHRASE

DEADLINE = 120


def wait(what, condition):
    """Waits until the condition holds; its value."""
    start = time.time()
    while time.time() - start < DEADLINE:
        value = condition()
        if value:
            print(f"after {time.time() - start:.0f} s: {what}")
            return value
        time.sleep(1)
    raise AssertionError(f"in vain, for {DEADLINE} s: {what}")


def outcome(chain, signer, call):
    """Sends a call; the name of the error that it failed with, or None."""
    extrinsic = chain.create_signed_extrinsic(call, keypair=signer)
    receipt = chain.submit_extrinsic(extrinsic, wait_for_inclusion=True)
    return None if receipt.is_success else receipt.error_message["name"]


def send(chain, signer, call):
    """Sends a call and fails if it failed."""
    error = outcome(chain, signer, call)
    assert error is None, error


def finalized(chain):
    """Number of the last finalized block."""
    return chain.get_block_number(chain.get_chain_finalised_head())


def validators(chain):
    return chain.query("Session", "Validators").value


def slot_of(header):
    """The slot of a block, which stands in its digest."""
    for log in header["digest"]["logs"]:
        data = bytes.fromhex(log.removeprefix("0x"))
        if data[0] == 6 and data[1:5] == b"aura":
            return int.from_bytes(data[6:14], "little")
    raise AssertionError(f"no slot in {header}")


def author(chain, number):
    """The account that made a block: of the authorities of its parent's state, by its slot."""
    header = chain.rpc_request("chain_getHeader", [chain.get_block_hash(number)])["result"]
    keys = chain.query("Aura", "Authorities", block_hash=header["parentHash"]).value
    accounts = chain.query("Session", "Validators", block_hash=header["parentHash"]).value
    return accounts[slot_of(header) % len(keys)]


def offences(chain):
    """The kinds of offences on record."""
    reports = chain.query_map("Offences", "ConcurrentReportsIndex")
    found = (str(key[0].value) for key, _ in reports)
    return {bytes.fromhex(kind[2:]).decode() if kind.startswith("0x") else kind for kind in found}


def join(url, third_url):
    chain, third = SubstrateInterface(url=url), SubstrateInterface(url=third_url)
    alice, charlie = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Charlie")
    owner = "0x" + charlie.public_key.hex()
    generated = third.rpc_request("author_rotateKeysWithOwner", [owner])["result"]
    keys = generated["keys"].removeprefix("0x")
    keys = {"aura": "0x" + keys[:64], "grandpa": "0x" + keys[64:]}
    send(chain, charlie, chain.compose_call(
        "Session", "set_keys", {"keys": keys, "proof": generated["proof"]}))
    wanted = validators(chain) + [charlie.ss58_address]
    send(chain, alice, chain.compose_call("Sudo", "sudo", {
        "call": chain.compose_call("Authorities", "set_authorities", {"authorities": wanted})}))

    wait("the set has three", lambda: validators(chain) == wanted)
    # With three, two alone finalize nothing: the third votes.
    joined = chain.get_block_number(None)
    wait("nine more blocks are final", lambda: finalized(chain) >= joined + 9)
    makers = {author(chain, number) for number in range(joined + 1, joined + 10)}
    assert makers == set(wanted), makers
    print("the third makes blocks and they are final")


def twin(url):
    chain = SubstrateInterface(url=url)
    alice, bob = (Keypair.create_from_uri(uri).ss58_address for uri in ("//Alice", "//Bob"))
    assert validators(chain) == [alice, bob]

    wait("a report of two blocks in one slot", lambda: "aura:equivocatio" in offences(chain))
    expect_out(chain, alice, bob)


def expect_out(chain, offender, other):
    """Fails unless an offender is on record and leaves the other alone."""
    assert chain.query("Authorities", "Offenders", [offender]).value is not None
    assert chain.query("Authorities", "Authorities").value == [other]
    wait("the set is without the offender", lambda: validators(chain) == [other])
    alone = chain.get_block_number(None)
    wait("six more blocks are final", lambda: finalized(chain) >= alone + 6)
    print("recorded:", *sorted(offences(chain)))
    print("one authority is left and its blocks are final")


def grandpa_key(name):
    """The ed25519 key of a development authority, `//name`, which the library does not derive."""
    root = Keypair.create_from_mnemonic(DEV_PHRASE, crypto_type=KeypairType.ED25519)
    text = b"\x2cEd25519HDKD" + bytes(root.seed_hex) + bytes([4 * len(name), *name]).ljust(32, b"\0")
    seed = hashlib.blake2b(text, digest_size=32).digest()
    return Keypair.create_from_seed(seed, crypto_type=KeypairType.ED25519)


def two_votes(voter, round, set_id, second_signer):
    """That a key voted for two blocks in a round of GRANDPA, if the second vote is signed by that key."""

    def vote(block, signer):
        target = {"target_hash": "0x" + block.hex(), "target_number": 1}
        # A prevote, its round and its set.
        signed = b"\0" + block + struct.pack("<IQQ", 1, round, set_id)
        return target, "0x" + signer.sign(signed).hex()

    return {"set_id": set_id, "equivocation": {"Prevote": {
        "round_number": round,
        "identity": "0x" + voter.public_key.hex(),
        "first": vote(b"\1" * 32, voter),
        "second": vote(b"\2" * 32, second_signer),
    }}}


def ownership(chain, voter, set_id):
    """The proof that a key is an authority's in this session."""
    question = "0x" + struct.pack("<Q", set_id).hex() + voter.public_key.hex()
    answer = chain.rpc_request("state_call", ["GrandpaApi_generate_key_ownership_proof", question])
    proof = chain.runtime_config.create_scale_object("Option<Bytes>", ScaleBytes(answer["result"])).decode()
    return chain.runtime_config.create_scale_object("sp_session::MembershipProof", ScaleBytes(proof)).decode()


def votes(url):
    chain = SubstrateInterface(url=url)
    alice, bob = (Keypair.create_from_uri(uri) for uri in ("//Alice", "//Bob"))
    voter, forger = grandpa_key(b"Bob"), grandpa_key(b"Alice")
    set_id = chain.query("Grandpa", "CurrentSetId").value
    proof = ownership(chain, voter, set_id)
    wait("the session of the votes is over",
         lambda: chain.query("Session", "CurrentIndex").value > proof["session"])

    def report(second_signer):
        return outcome(chain, alice, chain.compose_call("Grandpa", "report_equivocation", {
            "equivocation_proof": two_votes(voter, 1, set_id, second_signer), "key_owner_proof": proof}))

    error = report(forger)
    assert error == "InvalidEquivocationProof", error
    assert offences(chain) == set()
    error = report(voter)
    assert error is None, error
    error = report(voter)
    assert error == "DuplicateOffenceReport", error
    session = chain.query("Authorities", "Offenders", [bob.ss58_address]).value
    assert session == proof["session"], session
    expect_out(chain, bob.ss58_address, alice.ss58_address)


if __name__ == "__main__":
    {"join": join, "twin": twin, "votes": votes}[sys.argv[1]](*sys.argv[2:])
