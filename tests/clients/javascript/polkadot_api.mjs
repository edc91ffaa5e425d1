// polkadot-api over a node's WebSocket.

import { createClient } from 'polkadot-api';
import { getWsProvider } from 'polkadot-api/ws';
import { WebSocket } from 'ws';
import { session } from './polkadot_api_session.mjs';
import { play } from './recipe.mjs';

await play('polkadot-api', async ({ url }) => {
  // Node.js has a WebSocket of its own from version 22 on.
  const client = createClient(getWsProvider(url, { websocketClass: WebSocket }));
  return { ...session(client), ask: client._request };
});
