// 64 clients of a server over HTTP for two minutes, which leave, dawdle and send nonsense: nothing may be lost, doubled or mixed, and
// memory must stay flat: `npm run soak:serve -- [--seconds N]`.
import { parseArgs } from 'node:util';
import { HttpSoak } from './http-clients.js';
import { MemoryReport } from './memory.js';

const { values: flags } = parseArgs({ options: { seconds: { type: 'string', default: '120' } } });
const CLIENTS = 64;
const REQUESTS_PER_ROUND = 560; // the same in each round: their texts alone are known after the first

const soak = await HttpSoak.open();
const memory = new MemoryReport(20_000);
const start = performance.now();
const elapsed = (): number => (performance.now() - start) / 1000;
let [requests, texts] = [0, 0];
while (elapsed() < Number(flags.seconds)) {
  texts += await soak.round(0, REQUESTS_PER_ROUND, CLIENTS);
  requests += REQUESTS_PER_ROUND;
  memory.add(requests);
}
const seconds = elapsed();
await soak.close();
console.log(
  `${requests} requests in ${seconds.toFixed(0)} s; ${texts} texts were read, each that of its request made alone`,
);
memory.print((message) => {
  process.exitCode = 1;
  console.error(message);
});
