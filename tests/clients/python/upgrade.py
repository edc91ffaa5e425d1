"""How governance replaces the runtime of a chain that lives, with substrate-interface.

Usage: upgrade.py URL WASM STAKE_ACCOUNT HOTKEY TEMPO

Prints, as JSON: the block that holds the new code, how many slots passed without a block after it, and how many in
the twenty blocks around it. STAKE_ACCOUNT is the account that holds all stake, HOTKEY a neuron to delegate to, TEMPO how
many blocks an epoch of every market has.
"""

import hashlib
import json
import sys

from authorities import finalized, send, slot_of, validators, wait
from substrateinterface import Keypair, SubstrateInterface

MARKETS = range(3)
AROUND = 10


def version(chain, block=None):
    return chain.rpc_request("state_getRuntimeVersion", [block])["result"]["specVersion"]


def send_code(chain, code, tempo):
    """Authorizes the code and brings it, in the middle of an epoch; the block that holds it."""
    alice = Keypair.create_from_uri("//Alice")
    digest = "0x" + hashlib.blake2b(code, digest_size=32).hexdigest()
    send(chain, alice, chain.compose_call("Sudo", "sudo", {
        "call": chain.compose_call("System", "authorize_upgrade", {"code_hash": digest})}))
    call = chain.compose_call("System", "apply_authorized_upgrade", {"code": "0x" + code.hex()})
    # Before the wait: to sign a megabyte takes as long as some blocks on a busy machine.
    extrinsic = chain.create_signed_extrinsic(call, keypair=alice)
    wait("the middle of an epoch", lambda: 2 <= chain.get_block_number(None) % tempo < tempo // 2)
    receipt = chain.submit_extrinsic(extrinsic, wait_for_inclusion=True)
    assert receipt.is_success, receipt.error_message
    number = chain.get_block_number(receipt.block_hash)
    # What is compared below is what no epoch changes in between.
    assert 2 <= number % tempo <= tempo - 2, f"the code came with block {number}, where an epoch begins"
    return number


def stake(chain, account, number):
    """All stake in the slots after a block, and what the account that holds it owns."""
    block = chain.get_block_hash(number)
    graphs = (chain.rpc_request("market_metagraph", [market, block])["result"] for market in MARKETS)
    slots = sum(neuron["stake"] for graph in graphs for neuron in graph["neurons"])
    return slots, chain.query("System", "Account", [account], block_hash=block).value["data"]["free"]


def slots(chain, first, last):
    """The slots of blocks."""
    headers = (chain.rpc_request("chain_getHeader", [chain.get_block_hash(number)])["result"]
               for number in range(first, last + 1))
    return [slot_of(header) for header in headers]


def delegate(chain, hotkey):
    """Puts a unit of NOE behind a neuron: a call that the runtime of before did not have."""
    eve = Keypair.create_from_uri("//Eve")
    send(chain, eve, chain.compose_call("Market", "delegate", {
        "market": 0, "hotkey": hotkey, "amount": 10**9}))
    held = chain.query_map("Market", "Delegations", [eve.ss58_address])
    assert [shares.value > 0 for _, shares in held] == [True]


def upgrade(url, wasm, account, hotkey, tempo):
    chain = SubstrateInterface(url=url)
    before = version(chain)
    with open(wasm, "rb") as file:
        number = send_code(chain, file.read(), int(tempo))
    block = chain.get_block_hash(number)
    assert version(chain, chain.get_block_hash(number - 1)) == before < version(chain, block)
    wait("blocks under the new runtime are final", lambda: finalized(chain) >= number + AROUND)

    # A client that starts now.
    chain = SubstrateInterface(url=url)
    assert stake(chain, account, number - 1) == stake(chain, account, number + 1)
    held, owned = stake(chain, account, number + AROUND)
    assert held == owned > 0, (held, owned)
    accounts = ["0x" + chain.ss58_decode(who) for who in validators(chain)]
    assert accounts == chain.query("Aura", "Authorities").value != [], accounts
    delegate(chain, hotkey)

    seen = slots(chain, number - AROUND, number + AROUND)
    gaps = [later - earlier - 1 for earlier, later in zip(seen, seen[1:])]
    print(json.dumps({"block": number, "pause": gaps[AROUND], "missed": sum(gaps)}))


if __name__ == "__main__":
    upgrade(*sys.argv[1:])
