// What every client does here, whoever wrote it: learn the chain, register two hotkeys, stake on the first,
// let it set weights, read all of it back, and put two refusals in words. A client's own program says how;
// see README.md of the folder above.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Keyring } from '@polkadot/api';
import { cryptoWaitReady } from '@polkadot/util-crypto';

const MARKET = 0;
/** Units of 10^-9 NOE. */
const MOST_COST = 10_000_000_000n;
const STAKE = 5_000_000_000n;
/** A slot that no neuron of a fresh market has. */
const EMPTY_SLOT = 4095;

const OPTIONS = {
  url: { type: 'string' },
  'chain-spec': { type: 'string' },
  coldkey: { type: 'string', default: '//Alice' },
  hotkeys: { type: 'string', default: '//Alice//first,//Alice//second' },
  deadline: { type: 'string', default: '300' },
};

/**
 * Plays the recipe and prints what came of it as one line of JSON; any failure ends the process with 1.
 *
 * `connect(options)` gives a session, whose functions are about finalized blocks `{hash, number}`:
 *   about() -> {chain, runtime, metadata}
 *   send(key, call, arguments) -> once finalized, null or the error {name, docs}
 *   latest() -> block
 *   neuron(block, market, uid) -> {hotkey, coldkey}, from storage
 *   weights(block, market, uid) -> the row's weights, from storage
 *   free(block, address) -> balance, from storage
 *   metagraph(block, market) -> the runtime API's answer as `neuronOf` takes it
 *   ask(method, parameters) -> the answer of a JSON-RPC method; absent where there is no node to ask
 *   close()
 */
export async function play(client, connect) {
  const options = read(client);
  let step = 'starting';
  const late = setTimeout(() => {
    process.stderr.write(`error: ${client}: not done within ${options.deadline} s; it was ${step}\n`);
    process.exit(1);
  }, Number(options.deadline) * 1000);
  try {
    await cryptoWaitReady();
    const ring = new Keyring({ type: 'sr25519', ss58Format: 42 });
    const coldkey = ring.addFromUri(options.coldkey);
    const hotkeys = options.hotkeys.split(',').map((seed) => ring.addFromUri(seed));

    step = `connecting to ${options.url ?? options['chain-spec']}`;
    const session = await connect(options);
    const report = { client, version: version(client), ...(await session.about()) };

    const succeed = async (key, call, parameters) => {
      step = `waiting for ${call}`;
      const error = await session.send(key, call, { market: MARKET, ...parameters });
      if (error) throw new Error(`${call} was refused: ${error.name}: ${error.docs}`);
    };
    const fail = async (key, call, parameters) => {
      step = `waiting for the refusal of ${call}`;
      const error = await session.send(key, call, { market: MARKET, ...parameters });
      if (!error) throw new Error(`${call} was to be refused, and succeeded`);
      return error;
    };

    // This one reaches a block and fails in it; the wrong row below never gets past the pool.
    report.failed = await fail(coldkey, 'register', { hotkey: hotkeys[0].address, max_cost: 1n });
    for (const { address } of hotkeys) {
      await succeed(coldkey, 'register', { hotkey: address, max_cost: MOST_COST });
    }
    await succeed(coldkey, 'add_stake', { hotkey: hotkeys[0].address, amount: STAKE });

    step = 'reading the slots';
    const { neurons } = await session.metagraph(await session.latest(), MARKET);
    const [uid, other] = hotkeys.map(
      ({ address }) => neurons.map(neuronOf).find(({ hotkey }) => hotkey === address).uid,
    );
    report.refused = await fail(hotkeys[0], 'set_weights', { weights: [[EMPTY_SLOT, 1]] });
    // A registered neuron owns nothing and needs nothing for this.
    await succeed(hotkeys[0], 'set_weights', { weights: [[other, 65535]] });

    step = 'reading back';
    const block = await session.latest();
    report.block = block.number;
    report.uid = uid;
    report.neuron = await session.neuron(block, MARKET, uid);
    report.weights = [...(await session.weights(block, MARKET, uid))];
    report.free = String(await session.free(block, hotkeys[0].address));
    report.metagraph = (await session.metagraph(block, MARKET)).neurons.map(neuronOf);
    report.rpc = null;
    if (session.ask) {
      const answer = await session.ask('market_metagraph', [MARKET, block.hash]);
      report.rpc = answer.neurons.map(neuronOf);
    }
    step = 'closing the connection';
    await session.close();
    process.stdout.write(`${JSON.stringify(report)}\n`);
  } catch (reason) {
    process.stderr.write(`error: ${client}: while ${step}: ${wordsOf(reason)}\n`);
    process.exitCode = 1;
  }
  // A connection left open, or a client's own timer, would keep the process alive.
  clearTimeout(late);
  process.exit();
}

/** The options; without an address to begin at, or with others, the process ends. */
function read(client) {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    if (values.url || values['chain-spec']) return values;
    throw new Error('neither --url ws://... nor, for a light client, --chain-spec FILE');
  } catch ({ message }) {
    process.stderr.write(`error: ${client}: ${message}\n`);
    process.exit(2);
  }
}

/** A failure in words; some clients throw events that have none but their own message. */
function wordsOf(reason) {
  return reason?.stack ?? reason?.message ?? String(reason);
}

/** What is compared of a neuron, by whichever names and types a client read it. */
function neuronOf(neuron) {
  const updated = neuron.last_update ?? neuron.lastUpdate ?? null;
  return {
    uid: Number(neuron.uid),
    hotkey: addressOf(neuron.hotkey),
    coldkey: addressOf(neuron.coldkey),
    stake: String(neuron.stake),
    last_update: updated === null ? null : Number(updated),
  };
}

/** An account as people write it: clients hand out text, or an object that knows its text. */
export function addressOf(account) {
  return typeof account === 'string' ? account : account.address();
}

/** `set_weights` as clients in JavaScript spell it: `setWeights`. */
export function camel(name) {
  return name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}

/** The pool's refusal of a free call carries the index of the pallet's error, which the metadata names. */
export function variantOfIndex(variants, index) {
  const found = variants.find((variant) => Number(variant.index) === index);
  if (!found) throw new Error(`the metadata has no error of index ${index}`);
  return { name: String(found.name), docs: found.docs.map(String).join(' ').trim() };
}

function version(name) {
  const manifest = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest, 'utf8')).version;
}
