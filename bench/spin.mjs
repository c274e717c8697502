// A worker that keeps one core busy until the first number of what it shares is no longer 0.
import { parentPort, workerData } from 'node:worker_threads';

parentPort.postMessage('spinning');
while (Atomics.load(workerData, 0) === 0);
