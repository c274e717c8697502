// Compares the CUDA executor with transformers on a machine with an NVIDIA GPU:
//   python3 scripts/gpu_reference.py DIR && node scripts/gpu-logits.mjs DIR
// Runs the prompt of each model of DIR. The logits are held against transformers' in fp32: the greatest relative error over tokens may
// be 1.2 times what transformers' own is in the model's type. The greedy tokens are those of fp32 up to the first where two logits are
// so close that this error may turn them round.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { convert, LLM } from 'node-tensorrt-llm';

const MOST_OF_THEIRS = 1.2;
const dir = process.argv[2] ?? '';
const names = existsSync(dir)
  ? readdirSync(dir)
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length))
  : [];
if (names.length === 0) {
  console.error(`${dir || 'No folder'} has no models; make them: python3 scripts/gpu_reference.py DIR`);
  process.exit(1);
}

const out = mkdtempSync(path.join(tmpdir(), 'gpu-logits-'));
const rows = {};
const wrong = [];
for (const name of names) {
  const reference = JSON.parse(readFileSync(path.join(dir, `${name}.json`), 'utf8'));
  const { prompt, greedy, error, largest } = reference;
  const engine = reference.engine ?? (await convert(path.join(dir, name), path.join(out, name)));
  const llm = await LLM.load(engine, { executor: 'cuda', kvCache: { maxTokens: 4096 } });
  const options = { maxTokens: greedy.length, temperature: 0, ignoreEos: true, returnContextLogits: true };
  const { contextLogits, outputs } = await llm.generate({ tokens: prompt }, options);
  await llm.close();
  const ours = relativeError(contextLogits.data, floats(`${name}.fp32.bin`), llm.info.vocabSize);
  if (!(ours <= MOST_OF_THEIRS * error))
    wrong.push(`${name}: logits are further from fp32 than ${MOST_OF_THEIRS} times transformers' own error.`);

  const { tokens } = outputs[0];
  const first = tokens.findIndex((token, i) => token !== greedy[i]);
  if (first >= 0) {
    const logits = floats(`${name}.greedy.bin`).subarray(first * llm.info.vocabSize);
    const apart = logits[greedy[first]] - logits[tokens[first]];
    if (!(apart <= 2 * MOST_OF_THEIRS * largest))
      wrong.push(
        `${name}: greedy token ${first} is ${tokens[first]}, ${apart.toFixed(3)} less likely than ${greedy[first]}.`,
      );
  }
  rows[name] = {
    'error, ours': Number(ours.toFixed(5)),
    "error, transformers'": Number(error.toFixed(5)),
    ratio: Number((ours / error).toFixed(2)),
    'equal greedy tokens': `${first < 0 ? greedy.length : first} of ${greedy.length}`,
  };
}
rmSync(out, { recursive: true });
console.table(rows);
for (const line of wrong) console.error(line);
if (wrong.length > 0) process.exit(1);

function floats(name) {
  const bytes = readFileSync(path.join(dir, name));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The greatest over rows of |a - b| / |b|. */
function relativeError(a, b, width) {
  let worst = 0;
  for (let row = 0; row < b.length; row += width) {
    let [difference, norm] = [0, 0];
    for (let i = row; i < row + width; i++) {
      difference += (a[i] - b[i]) ** 2;
      norm += b[i] ** 2;
    }
    worst = Math.max(worst, Math.sqrt(difference / norm));
  }
  return worst;
}
