"""What an operator does and sees of authorities, with substrate-interface.

Usage: authorities.py join URL URL_OF_THE_THIRD
       authorities.py twin URL
"""

import sys
import time

from substrateinterface import Keypair, SubstrateInterface

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


def send(chain, signer, call):
    """Sends a call and fails if it failed."""
    extrinsic = chain.create_signed_extrinsic(call, keypair=signer)
    receipt = chain.submit_extrinsic(extrinsic, wait_for_inclusion=True)
    assert receipt.is_success, receipt.error_message


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

    def kinds():
        """The kinds of offences on record."""
        reports = chain.query_map("Offences", "ConcurrentReportsIndex")
        found = (str(key[0].value) for key, _ in reports)
        return {bytes.fromhex(kind[2:]).decode() if kind.startswith("0x") else kind for kind in found}

    wait("a report of two blocks in one slot", lambda: "aura:equivocatio" in kinds())
    assert chain.query("Authorities", "Offenders", [alice]).value is not None
    assert chain.query("Authorities", "Authorities").value == [bob]
    wait("the set is without the offender", lambda: validators(chain) == [bob])
    alone = chain.get_block_number(None)
    wait("six more blocks are final", lambda: finalized(chain) >= alone + 6)
    print("recorded:", *sorted(kinds()))
    print("one authority is left and its blocks are final")


if __name__ == "__main__":
    {"join": join, "twin": twin}[sys.argv[1]](*sys.argv[2:])
