// smoldot: a light client, which trusts no node. It follows the chain by the proofs of finality, and checks every
// answer against the state root of a finalized block: storage is read with a Merkle proof, and a call
// of the runtime runs here, on a state that was proven. polkadot-api puts what it answers into words.

import { readFileSync } from 'node:fs';
import { createClient } from 'polkadot-api';
import { getSmProvider } from 'polkadot-api/sm-provider';
import { start } from 'smoldot';
import { session } from './polkadot_api_session.mjs';
import { play } from './recipe.mjs';

await play('smoldot', async (options) => {
  // All that it is given: the chain's specification, with the address of a node to begin with.
  const chainSpec = readFileSync(options['chain-spec'], 'utf8');
  const light = start({
    maxLogLevel: 2,
    logCallback: (_, target, message) => process.stderr.write(`${target}: ${message}\n`),
  });
  const client = createClient(getSmProvider(() => light.addChain({ chainSpec })));
  return session(client);
});
