// How polkadot-api plays the recipe, wherever its answers come from: a node, or a light client.

import { decAnyMetadata, unifyMetadata } from '@polkadot-api/substrate-bindings';
import { InvalidTxError } from 'polkadot-api';
import { getPolkadotSigner } from 'polkadot-api/signer';
import { variantOfIndex } from './recipe.mjs';

/** A session of a client of polkadot-api, without types generated beforehand. */
export function session(client) {
  const api = client.getUnsafeApi();
  // A client lets go of a block as soon as a later one is final, which may be the moment after it is handed out.
  const held = async () => {
    const block = await client.getFinalizedBlock();
    return { ...block, release: client.hodlBlock(block.hash) };
  };
  // Errors come by name; their words are in the metadata.
  const errors = async ({ hash }) => {
    const { lookup, pallets } = unifyMetadata(decAnyMetadata(await client.getMetadata(hash)));
    const market = pallets.find(({ name }) => name === 'Market');
    return lookup[market.errors.type].def.value;
  };

  return {
    about: async () => {
      const { hash, release } = await held();
      const metadata = decAnyMetadata(await client.getMetadata(hash)).metadata.tag;
      release();
      const { spec_name, spec_version } = await api.constants.System.Version();
      return {
        chain: (await client.getChainSpecData()).name,
        runtime: `${spec_name}/${spec_version}`,
        metadata: Number(metadata.slice(1)),
      };
    },
    send: async (key, call, parameters) => {
      const signer = getPolkadotSigner(key.publicKey, 'Sr25519', (bytes) => key.sign(bytes));
      const block = await held();
      try {
        const result = await api.tx.Market[call](parameters).signAndSubmit(signer, { at: block.hash });
        if (result.ok) return null;
        const reason = result.dispatchError.value.value.type;
        const { name, docs } = (await errors(block)).find(({ name }) => name === reason);
        return { name, docs: docs.join(' ') };
      } catch (refusal) {
        const custom = refusal instanceof InvalidTxError && refusal.error.value;
        if (custom?.type !== 'Custom') throw refusal;
        return variantOfIndex(await errors(block), custom.value);
      } finally {
        block.release();
      }
    },
    latest: held,
    neuron: ({ hash }, ...key) => api.query.Market.Neurons.getValue(...key, { at: hash }),
    weights: async ({ hash }, ...key) => (await api.query.Market.Rows.getValue(...key, { at: hash })).weights,
    free: async ({ hash }, address) => (await api.query.System.Account.getValue(address, { at: hash })).data.free,
    metagraph: ({ hash }, market) => api.apis.MarketApi.metagraph(market, { at: hash }),
    close: () => client.destroy(),
  };
}
