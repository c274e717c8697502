// Runs the conformance suite and prints which case each executor passes: `npm run conformance -- --executor cpu --engine DIR`.
// 'tensorrt-llm' runs over the stand-ins of test/stand-in: `-- --executor tensorrt-llm --stand-in 1.2` over one of them.
import { fork } from 'node:child_process';
import { once } from 'node:events';
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

if (process.send) {
  const conformance = await Conformance.open(executors[values.executor[0]], values.engine);
  for (const each of cases) {
    const verdict = await conformance.run(each).catch((error) => ({ outcome: 'FAIL', error: error?.stack ?? error }));
    process.send(verdict);
  }
  process.disconnect();
  await conformance.close();
} else {
  await judgeAll();
}

async function judgeAll() {
  const names = values.executor.flatMap((name) =>
    name === 'tensorrt-llm' ? values['stand-in'].map((version) => `${name}-${version}`) : [name],
  );
  for (const name of names) {
    const known = `there are tensorrt-llm, ${Object.keys(executors).join(', ')}`;
    const missing = executors[name] ? lacks(executors[name]) : known;
    if (missing) {
      console.error(`There is no executor ${name} to test; ${missing}.`);
      process.exit(1);
    }
  }
  const columns = [];
  for (const name of names) columns.push(await judge(name));
  print(columns);
  const isGood = ({ verdicts, end }) => end === 0 && verdicts.every(({ outcome }) => outcome !== 'FAIL');
  process.exitCode = columns.every(isGood) ? 0 : 1;
}

/** In a process of its own: one process has room for one version of TensorRT-LLM. */
async function judge(name) {
  const child = fork(import.meta.filename, ['--executor', name, ...(values.engine ? ['--engine', values.engine] : [])]);
  const verdicts = [];
  child.on('message', (verdict) => verdicts.push(verdict));
  const [code, signal] = await once(child, 'close');
  const end = signal ?? code;
  if (end !== 0) console.error(`the process of ${name} ended with ${end}`);
  while (verdicts.length < cases.length) verdicts.push({ outcome: 'FAIL', error: 'the process had ended before' });
  return { name, verdicts, end };
}

function print(columns) {
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
      if (outcome === 'FAIL') console.log(`\n${name}: ${cases[i].name}\n${error}`);
    }
  }
}
