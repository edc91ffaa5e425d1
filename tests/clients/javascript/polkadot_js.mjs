// @polkadot/api, which polkadot-js apps and most older tools are written with.

import { ApiPromise, WsProvider } from '@polkadot/api';
import { camel, play, variantOfIndex } from './recipe.mjs';

await play('@polkadot/api', async ({ url }) => {
  const provider = new WsProvider(url);
  const api = await ApiPromise.create({ provider, noInitWarn: true, throwOnConnect: true });
  const blocks = new Map();
  const at = (block) => {
    if (!blocks.has(block.hash)) blocks.set(block.hash, api.at(block.hash));
    return blocks.get(block.hash);
  };
  const errors = () => {
    const market = api.registry.metadata.pallets.find(({ name }) => name.eq('Market'));
    return [...api.registry.lookup.getSiType(market.errors.unwrap().type).def.asVariant.variants];
  };

  return {
    about: async () => ({
      chain: String(await api.rpc.system.chain()),
      runtime: `${api.runtimeVersion.specName}/${api.runtimeVersion.specVersion}`,
      metadata: api.runtimeMetadata.version,
    }),
    send: (key, call, parameters) =>
      new Promise((resolve, reject) => {
        const transaction = api.tx.market[camel(call)](...Object.values(parameters));
        const watch = ({ dispatchError, isFinalized, isError, status }) => {
          if (isError) reject(new Error(`the transaction is ${status.type}`));
          if (!isFinalized) return;
          if (!dispatchError) return resolve(null);
          const { name, docs } = api.registry.findMetaError(dispatchError.asModule);
          resolve({ name, docs: docs.join(' ') });
        };
        transaction.signAndSend(key, watch).catch((refusal) => {
          const [, index] = /Custom error: (\d+)/.exec(refusal.data) ?? [];
          if (index === undefined) return reject(refusal);
          resolve(variantOfIndex(errors(), Number(index)));
        });
      }),
    latest: async () => {
      const hash = await api.rpc.chain.getFinalizedHead();
      const { number } = await api.rpc.chain.getHeader(hash);
      return { hash: hash.toHex(), number: number.toNumber() };
    },
    neuron: async (block, ...key) => (await (await at(block)).query.market.neurons(...key)).toJSON(),
    weights: async (block, ...key) =>
      (await (await at(block)).query.market.rows(...key)).unwrap().weights.map((weight) => weight.toNumber()),
    free: async (block, address) => (await (await at(block)).query.system.account(address)).data.free,
    metagraph: async (block, market) => (await (await at(block)).call.marketApi.metagraph(market)).toJSON(),
    ask: (method, parameters) => provider.send(method, parameters),
    close: () => api.disconnect(),
  };
});
