import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { DONE, ENDS, GIVEN, HASHED, HashRing } from './hash-ring.js';

// The program of a HashThread's other side: workerData is the memory of the ring.
const ring = new HashRing(workerData);
const { counters } = ring;
const hash = createHash('sha256');
parentPort?.postMessage('ready');
let hashed = 0;
for (;;) {
  Atomics.wait(counters, GIVEN, hashed); // until there is more
  const some = Atomics.load(counters, GIVEN);
  const all = Atomics.load(counters, ENDS) - 1;
  const given = all < 0 ? some : all;
  while (hashed < given) {
    hash.update(ring.piece(hashed));
    Atomics.store(counters, HASHED, ++hashed);
    Atomics.notify(counters, HASHED);
  }
  if (all >= 0) break;
}
ring.digest.set(hash.digest());
Atomics.store(counters, DONE, 1);
Atomics.notify(counters, DONE);
