import { LLM } from 'node-tensorrt-llm';
import { hostsOf } from '../../../tools/hosts.js';
import { given, hasChunk, LONG, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
  hosts: number;
}

// Tells the pids of the hosts, which it has stopped, and when it exits.
const { engine, hosts } = given<Work>();
const llms = await Promise.all(Array.from({ length: hosts }, () => LLM.load(engine, { isolation: 'process' })));
await Promise.all(
  llms.map((llm) => {
    const generation = llm.stream('x', LONG);
    generation.result.catch(() => {});
    return hasChunk(generation);
  }),
);
const pids = hostsOf(process.pid);
for (const pid of pids) process.kill(pid, 'SIGSTOP');
tell(pids);
tell(Date.now());
process.exit(7);
