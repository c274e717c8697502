// Runs the conformance suite and prints which case each executor passes: `npm run conformance -- --executor cpu --engine DIR`.
// 'tensorrt-llm' runs over the stand-ins of test/stand-in: `-- --executor tensorrt-llm --stand-in 1.2` over one of them.
import { parseArgs } from 'node:util';
import '../dist-test/conformance/cases/index.js';
import { executors, lacks } from '../dist-test/conformance/executors.js';
import { Conformance, cases } from '../dist-test/conformance/suite.js';

const { values } = parseArgs({
  options: {
    executor: { type: 'string', multiple: true, default: ['cpu', 'cpu-isolated', 'scripted', 'tensorrt-llm'] },
    'stand-in': { type: 'string', multiple: true, default: ['0.13', '1.2'] },
    engine: { type: 'string' },
  },
});

const columns = [];
for (const name of values.executor.flatMap(named)) {
  const known = `there are tensorrt-llm, ${Object.keys(executors).join(', ')}`;
  const missing = executors[name] ? lacks(executors[name]) : known;
  if (missing) {
    console.error(`There is no executor ${name} to test; ${missing}.`);
    process.exit(1);
  }
  columns.push({ name, verdicts: await judge(executors[name]) });
}

function named(name) {
  return name === 'tensorrt-llm' ? values['stand-in'].map((version) => `${name}-${version}`) : [name];
}

async function judge(executor) {
  const conformance = await Conformance.open(executor, values.engine);
  const verdicts = [];
  for (const each of cases) {
    verdicts.push(await conformance.run(each).catch((error) => ({ outcome: 'FAIL', error })));
  }
  await conformance.close();
  return verdicts;
}

const width = 1 + Math.max(...columns.map(({ name }) => name.length), 'refused'.length);
console.log(columns.map(({ name }) => name.padEnd(width)).join(''));
for (const [i, { name }] of cases.entries()) {
  console.log(columns.map(({ verdicts }) => verdicts[i].outcome.padEnd(width)).join('') + name);
}
console.log();
for (const { name, verdicts } of columns) {
  const counts = ['pass', 'refused', 'skip', 'FAIL'].map(
    (outcome) => `${verdicts.filter((verdict) => verdict.outcome === outcome).length} ${outcome}`,
  );
  console.log(`${name}: ${counts.join(', ')}`);
  for (const outcome of ['refused', 'skip']) {
    const lacks = verdicts.filter((verdict) => verdict.outcome === outcome).map((verdict) => verdict.lacks);
    if (lacks.length > 0) console.log(`  ${outcome} for lack of: ${[...new Set(lacks)].join('; ')}`);
  }
}
for (const { name, verdicts } of columns) {
  for (const [i, { outcome, error }] of verdicts.entries()) {
    if (outcome === 'FAIL') console.log(`\n${name}: ${cases[i].name}\n${error?.stack ?? error}`);
  }
}
process.exitCode = columns.some(({ verdicts }) => verdicts.some(({ outcome }) => outcome === 'FAIL')) ? 1 : 0;
