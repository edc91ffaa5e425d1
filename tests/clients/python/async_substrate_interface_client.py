"""async-substrate-interface, the younger client of the Python world, with keys of bittensor-wallet, since it has none
of its own.
"""

from async_substrate_interface import AsyncSubstrateInterface
from async_substrate_interface.errors import SubstrateRequestException
from bittensor_wallet import Keypair
from recipe import index_of_refusal, play, words


class Session:
    def __init__(self, chain):
        self.chain = chain

    async def about(self):
        version = await self.ask("state_getRuntimeVersion", [])
        runtime = await self.chain.init_runtime()
        return {
            "chain": await self.ask("system_chain", []),
            "runtime": f"{version['specName']}/{version['specVersion']}",
            "metadata": 15 if runtime.metadata_v15 else 14,
        }

    async def send(self, key, function, arguments):
        call = await self.chain.compose_call("Market", function, arguments)
        extrinsic = await self.chain.create_signed_extrinsic(call, keypair=key)
        try:
            receipt = await self.chain.submit_extrinsic(extrinsic, wait_for_finalization=True)
        except SubstrateRequestException as refusal:
            # It counts nonces itself, and has counted one that was never used.
            self.chain.clear_nonce_cache_for_account(key.ss58_address)
            index = index_of_refusal(refusal)
            errors = (await self.chain.get_metadata_module("Market")).errors
            return words(next(error.value for error in errors if error.value["index"] == index))
        return None if await receipt.is_success else words(await receipt.error_message)

    async def latest(self):
        block = await self.chain.get_chain_finalised_head()
        return block, await self.chain.get_block_number(block)

    async def neuron(self, block, *key):
        return await self.read("Market", "Neurons", key, block)

    async def weights(self, block, *key):
        return list((await self.read("Market", "Rows", key, block))["weights"])

    async def free(self, block, address):
        return (await self.read("System", "Account", [address], block))["data"]["free"]

    async def read(self, pallet, item, key, block):
        found = await self.chain.query(pallet, item, list(key), block_hash=block)
        return getattr(found, "value", found)

    async def metagraph(self, block, market):
        found = await self.chain.runtime_call("MarketApi", "metagraph", [market], block_hash=block)
        return getattr(found, "value", found)

    async def ask(self, method, parameters):
        return (await self.chain.rpc_request(method, parameters))["result"]

    async def close(self):
        await self.chain.close()


async def connect(url):
    chain = AsyncSubstrateInterface(url=url)
    await chain.initialize()
    return Session(chain)


play("async-substrate-interface", Keypair.create_from_uri, connect)
