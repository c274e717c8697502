import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpSoak } from '../../soak/http-clients.js';

// `npm run soak:serve` is the long one.
test('among 400 requests of 32 clients that leave, dawdle or send nonsense, each text is that of the request made alone', async () => {
  const soak = await HttpSoak.open();
  assert.ok((await soak.round(0, 400, 32)) > 400 / 3);
  assert.deepEqual([...soak.statuses].toSorted(), [200, 400, 499]);
  await soak.close();
});
