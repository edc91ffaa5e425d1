// dedot over a node's WebSocket. It signs as wallets do for signers without a network: over the hash of the metadata, which
// it finds out by itself, and the runtime compares with its own.

import { DedotClient, WsProvider } from 'dedot';
import { MerkleizedMetadata } from 'dedot/merkleized-metadata';
import { addressOf, camel, play, variantOfIndex } from './recipe.mjs';

await play('dedot', async ({ url }) => {
  const client = await DedotClient.new(new WsProvider(url));
  const { tokenDecimals: decimals, tokenSymbol } = await client.chainSpec.properties();
  const digest = new MerkleizedMetadata(client.metadata, { decimals, tokenSymbol }).digest();
  const metadataHash = `0x${Buffer.from(digest).toString('hex')}`;
  const errors = () => {
    const market = client.metadata.latest.pallets.find(({ name }) => name === 'Market');
    return client.metadata.latest.types[market.error.typeId].typeDef.value.members;
  };

  return {
    about: async () => ({
      chain: await client.chainSpec.chainName(),
      runtime: `${client.runtimeVersion.specName}/${client.runtimeVersion.specVersion}`,
      metadata: Number(client.metadata.version.slice(1)),
    }),
    // `untilFinalized()` never settles where the pool refuses; the promise of the callback's form does.
    send: (key, call, parameters) =>
      new Promise((resolve, reject) => {
        const watch = ({ status, dispatchError }) => {
          if (status.type === 'Invalid' || status.type === 'Drop') reject(new Error(status.value.error));
          if (status.type !== 'Finalized') return;
          if (!dispatchError) return resolve(null);
          const { name, docs } = client.registry.findErrorMeta(dispatchError);
          resolve({ name, docs: docs.join(' ') });
        };
        const transaction = client.tx.market[camel(call)](...Object.values(parameters));
        transaction.signAndSend(key, { metadataHash }, watch).catch((refusal) => {
          const custom = refusal.data?.err?.value;
          if (custom?.type !== 'Custom') return reject(refusal);
          resolve(variantOfIndex(errors(), custom.value));
        });
      }),
    latest: async () => {
      const { hash, number } = await client.block.finalized();
      return { hash, number };
    },
    neuron: async ({ hash }, ...key) => {
      const { hotkey, coldkey } = await (await client.at(hash)).query.market.neurons(key);
      return { hotkey: addressOf(hotkey), coldkey: addressOf(coldkey) };
    },
    weights: async ({ hash }, ...key) => (await (await client.at(hash)).query.market.rows(key)).weights,
    free: async ({ hash }, address) => (await (await client.at(hash)).query.system.account(address)).data.free,
    metagraph: async ({ hash }, market) => (await client.at(hash)).call.marketApi.metagraph(market),
    ask: (method, parameters) => client.rpc[method](...parameters),
    close: () => client.disconnect(),
  };
});
