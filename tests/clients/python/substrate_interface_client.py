"""substrate-interface, the older client of the Python world. It reads metadata 14, which says nothing of runtime
APIs, so that it learns the metagraph by the node's own method alone.
"""

from recipe import index_of_refusal, play, words
from substrateinterface import Keypair, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException


class Session:
    def __init__(self, url):
        self.chain = SubstrateInterface(url=url)
        self.chain.init_runtime()

    async def about(self):
        version = self.chain.rpc_request("state_getRuntimeVersion", [])["result"]
        metadata = next(iter(self.chain.metadata.value[1]))
        return {
            "chain": self.chain.chain,
            "runtime": f"{version['specName']}/{version['specVersion']}",
            "metadata": int(metadata.removeprefix("V")),
        }

    async def send(self, key, function, arguments):
        call = self.chain.compose_call("Market", function, arguments)
        extrinsic = self.chain.create_signed_extrinsic(call, keypair=key)
        try:
            receipt = self.chain.submit_extrinsic(extrinsic, wait_for_finalization=True)
        except SubstrateRequestException as refusal:
            index = index_of_refusal(refusal)
            errors = self.chain.get_metadata_module("Market").errors
            return words(next(error.value for error in errors if error.value["index"] == index))
        return None if receipt.is_success else words(receipt.error_message)

    async def latest(self):
        block = self.chain.get_chain_finalised_head()
        return block, self.chain.get_block_number(block)

    async def neuron(self, block, *key):
        return self.chain.query("Market", "Neurons", list(key), block_hash=block).value

    async def weights(self, block, *key):
        return self.chain.query("Market", "Rows", list(key), block_hash=block).value["weights"]

    async def free(self, block, address):
        return self.chain.query("System", "Account", [address], block_hash=block).value["data"]["free"]

    async def metagraph(self, _block, _market):
        return None

    async def ask(self, method, parameters):
        return self.chain.rpc_request(method, parameters)["result"]

    async def close(self):
        self.chain.close()


async def connect(url):
    return Session(url)


play("substrate-interface", Keypair.create_from_uri, connect)
