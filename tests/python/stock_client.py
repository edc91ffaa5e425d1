"""Reads a market and sets weights with substrate-interface, knowing nothing of Noesis but names.

Usage: stock_client.py ws://127.0.0.1:9944
"""

import sys

from substrateinterface import Keypair, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException

MARKET = 0


def send(chain, signer, function, parameters):
    """Signs a call of the market, waits until a block holds it, and fails if it failed."""
    call = chain.compose_call("Market", function, {"market": MARKET, **parameters})
    extrinsic = chain.create_signed_extrinsic(call, keypair=signer)
    receipt = chain.submit_extrinsic(extrinsic, wait_for_inclusion=True)
    assert receipt.is_success, f"{function}: {receipt.error_message}"
    return receipt


def main(url):
    chain = SubstrateInterface(url=url)
    owner = Keypair.create_from_uri("//Alice")
    neurons = [Keypair.create_from_uri(f"//Alice//stock{number}") for number in range(2)]

    for neuron in neurons:
        send(chain, owner, "register", {"hotkey": neuron.ss58_address, "max_cost": 10 * 10**9})
    owners = {uid.value: neuron.value for uid, neuron in chain.query_map("Market", "Neurons", [MARKET])}
    assert [owners[uid]["hotkey"] for uid in (0, 1)] == [n.ss58_address for n in neurons], owners
    assert owners[0]["coldkey"] == owner.ss58_address, owners

    # The hotkey owns nothing: a row costs a registered neuron nothing.
    assert chain.query("System", "Account", [neurons[0].ss58_address]).value["data"]["free"] == 0
    receipt = send(chain, neurons[0], "set_weights", {"weights": [(1, 65535)]})
    row = chain.query("Market", "Rows", [MARKET, 0]).value
    assert row["weights"] == [65535], row
    print(f"set_weights was included in block {receipt.block_hash}")

    # A second row within the rate limit never gets past the pool.
    try:
        send(chain, neurons[0], "set_weights", {"weights": [(1, 1)]})
    except SubstrateRequestException as refusal:
        print(f"a second row was refused: {refusal}")
    else:
        raise AssertionError("a row within the rate limit was accepted")

    # The node's own method answers with the same neurons.
    metagraph = chain.rpc_request("market_metagraph", [MARKET])["result"]
    assert metagraph["modality"] == "text", metagraph
    unknown = chain.rpc_request("market_metagraph", [4095])["result"]
    assert unknown is None, unknown


if __name__ == "__main__":
    main(*sys.argv[1:])
