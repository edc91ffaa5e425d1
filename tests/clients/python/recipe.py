"""What every client does here, whoever wrote it: learn the chain, register two hotkeys, stake on the first,
let it set weights, read all of it back, and put two refusals in words. A client's own program says how;
see README.md of the folder above.
"""

import argparse
import asyncio
import importlib.metadata
import json
import re
import signal
import sys

MARKET = 0
# Units of 10^-9 NOE.
MOST_COST = 10 * 10**9
STAKE = 5 * 10**9
# A slot that no neuron of a fresh market has.
EMPTY_SLOT = 4095


def play(client, keypair, connect):
    """Plays the recipe and prints what came of it as one line of JSON; any failure ends the process with 1.

    `client` is the package's name, `keypair` turns a seed into a key, and `connect(url)` is awaited for a
    session, whose coroutines are about the block of a hash:

        about() -> {chain, runtime, metadata}
        send(key, call, arguments) -> once finalized, None or the error {name, docs}
        latest() -> (hash, number) of the last finalized block
        neuron(block, market, uid) -> {hotkey, coldkey}, from storage
        weights(block, market, uid) -> the row's weights, from storage
        free(block, address) -> balance, from storage
        metagraph(block, market) -> the runtime API's answer; None from a client that cannot ask for it
        ask(method, parameters) -> the answer of a JSON-RPC method
        close()
    """
    options = read()
    late = f"error: {client}: not done with {options.url} within {options.deadline} s"
    # Ends what waits without asyncio, too.
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(late))
    signal.alarm(options.deadline)
    try:
        report = asyncio.run(_play(client, keypair, connect, options))
    except OSError as reason:
        sys.exit(f"error: {client}: {options.url}: {reason}")
    print(json.dumps(report))


def read():
    """The options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True, help="of a node, ws://...")
    parser.add_argument("--coldkey", default="//Alice")
    parser.add_argument("--hotkeys", default="//Alice//first,//Alice//second")
    parser.add_argument("--deadline", type=int, default=300, help="seconds")
    return parser.parse_args()


async def _play(client, keypair, connect, options):
    coldkey = keypair(options.coldkey)
    hotkeys = [keypair(seed) for seed in options.hotkeys.split(",")]
    first, second = (hotkey.ss58_address for hotkey in hotkeys)
    session = await connect(options.url)
    report = {"client": client, "version": importlib.metadata.version(client), **await session.about()}

    async def succeed(key, call, **arguments):
        error = await session.send(key, call, {"market": MARKET, **arguments})
        assert error is None, f"{call} was refused: {error}"

    async def fail(key, call, **arguments):
        error = await session.send(key, call, {"market": MARKET, **arguments})
        assert error is not None, f"{call} was to be refused, and succeeded"
        return error

    # This one reaches a block and fails in it; the wrong row below never gets past the pool.
    report["failed"] = await fail(coldkey, "register", hotkey=first, max_cost=1)
    for hotkey in (first, second):
        await succeed(coldkey, "register", hotkey=hotkey, max_cost=MOST_COST)
    await succeed(coldkey, "add_stake", hotkey=first, amount=STAKE)

    block, _ = await session.latest()
    market = await session.ask("market_metagraph", [MARKET, block])
    uids = {neuron["hotkey"]: neuron["uid"] for neuron in market["neurons"]}
    report["refused"] = await fail(hotkeys[0], "set_weights", weights=[(EMPTY_SLOT, 1)])
    # A registered neuron owns nothing and needs nothing for this.
    await succeed(hotkeys[0], "set_weights", weights=[(uids[second], 65535)])

    block, report["block"] = await session.latest()
    report["uid"] = uid = uids[first]
    report["neuron"] = await session.neuron(block, MARKET, uid)
    report["weights"] = await session.weights(block, MARKET, uid)
    report["free"] = str(await session.free(block, first))
    answers = {
        "metagraph": await session.metagraph(block, MARKET),
        "rpc": await session.ask("market_metagraph", [MARKET, block]),
    }
    for way, answer in answers.items():
        report[way] = answer and [compared(neuron) for neuron in answer["neurons"]]
    await session.close()
    return report


def compared(neuron):
    """What is compared of a neuron."""
    return {
        "uid": neuron["uid"],
        "hotkey": neuron["hotkey"],
        "coldkey": neuron["coldkey"],
        "stake": str(neuron["stake"]),
        "last_update": neuron["last_update"],
    }


def index_of_refusal(refusal):
    """The pool's refusal of a free call carries the index of the pallet's error, which the metadata names."""
    found = re.search(r"Custom error: (\d+)", str(refusal))
    if found is None:
        raise refusal
    return int(found[1])


def words(error):
    """An error as the metadata describes it."""
    return {"name": error["name"], "docs": " ".join(error["docs"])}
