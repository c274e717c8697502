import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Cases } from './cases.js';
import type { RoundRequests } from './round.js';
import type { Round } from './share.js';
import type { Order, Report, WorkerStart } from './worker.js';

interface Member {
  readonly worker: Worker;
  /** Resolves when its part of the round has ended, or with the worker. */
  done: Promise<void>;
  onDone: () => void;
  leaving: boolean;
}

// Resident memory is to say what is held, not how much garbage V8 lets each thread pile up: some 20 MB without this.
const resourceLimits = { maxYoungGenerationSizeMb: 4 };

/** The worker threads 1 to `size`. */
export class Team {
  readonly size: number;
  terminations = 0;
  readonly #cases: Cases;
  readonly #onFailure: (message: string) => void;
  readonly #members: Member[];

  constructor(size: number, cases: Cases, onFailure: (message: string) => void) {
    this.size = size;
    this.#cases = cases;
    this.#onFailure = onFailure;
    this.#members = Array.from({ length: size }, (_, index) => this.#hire(index + 1));
  }

  start(round: Round): void {
    for (const member of this.#members) order(member, round);
  }

  async whenDone(): Promise<void> {
    await Promise.all(this.#members.map(({ done }) => done));
  }

  /** Ends a worker in the middle of the round, from outside or by process.exit() in it; another takes its place. */
  async replace(thread: number, how: 'terminate' | 'exit', round: Round, requests: RoundRequests): Promise<void> {
    const member = this.#members[thread - 1] as Member;
    member.leaving = true;
    const exited = once(member.worker, 'exit');
    if (how === 'terminate') await member.worker.terminate();
    else member.worker.postMessage('exit' satisfies Order);
    await exited;
    this.terminations++;
    requests.endTerminated(thread);
    const next = this.#hire(thread);
    this.#members[thread - 1] = next;
    order(next, round);
  }

  async dismiss(): Promise<void> {
    for (const member of this.#members) {
      member.leaving = true;
      await member.worker.terminate();
    }
  }

  #hire(thread: number): Member {
    const workerData: WorkerStart = { thread, cases: this.#cases };
    const member: Member = {
      worker: new Worker(new URL('./worker.js', import.meta.url), { workerData, resourceLimits }),
      done: Promise.resolve(),
      onDone: () => {},
      leaving: false,
    };
    member.worker.on('message', (report: Report) => {
      if (report === 'done') member.onDone();
      else this.#onFailure(report.failure);
    });
    member.worker.on('error', (error) => this.#onFailure(`worker ${thread} threw: ${error.stack}`));
    member.worker.on('exit', (code) => {
      member.onDone();
      if (!member.leaving) this.#onFailure(`worker ${thread} exited by itself, with ${code}`);
    });
    return member;
  }
}

function order(member: Member, round: Round): void {
  member.done = new Promise((resolve) => {
    member.onDone = resolve;
  });
  member.worker.postMessage({ round } satisfies Order);
}
