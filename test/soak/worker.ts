import { parentPort, workerData } from 'node:worker_threads';
import type { Cases } from './cases.js';
import { EventLog } from './events.js';
import { RoundRequests } from './round.js';
import { type Round, runShare } from './share.js';

/** What a worker is told: a round to take part in, or to exit in the middle of one. */
export type Order = { readonly round: Round } | 'exit';

/** What it says: a failed check, or that its part of the round has ended. */
export type Report = { readonly failure: string } | 'done';

export interface WorkerStart {
  readonly thread: number;
  readonly cases: Cases;
}

const { thread, cases } = workerData as WorkerStart;
const tell = (report: Report): void => parentPort?.postMessage(report);
const onFailure = (failure: string): void => tell({ failure });
const events = new EventLog(onFailure);

parentPort?.on('message', async (order: Order) => {
  if (order === 'exit') process.exit(0);
  const { round } = order;
  const requests = new RoundRequests(round.from, round.count, round.memory);
  await runShare({ round, requests, thread, cases, events, onFailure });
  tell('done');
});
