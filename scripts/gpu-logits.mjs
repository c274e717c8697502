// Compares the CUDA executor with transformers on a machine with an NVIDIA GPU, without network:
//   python3 scripts/gpu_reference.py DIR && node scripts/gpu-check.mjs DIR
// Converts each model of DIR, runs its prompt, and holds the logits against transformers' in fp32: the greatest relative error over
// tokens may be 1.2 times what transformers' own is in the model's type. Says how far the greedy texts agree.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { convert, LLM } from 'node-tensorrt-llm';

const MOST_OF_THEIRS = 1.2;
const dir = process.argv[2] ?? '';
const names = readdirSync(dir)
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length));
if (names.length === 0) throw new Error(`${dir} has no models; run python3 scripts/gpu_reference.py ${dir}`);

const out = mkdtempSync(path.join(tmpdir(), 'gpu-check-'));
const rows = {};
for (const name of names) {
  const { prompt, greedy, error } = JSON.parse(readFileSync(path.join(dir, `${name}.json`), 'utf8'));
  const bytes = readFileSync(path.join(dir, `${name}.fp32.bin`));
  const expected = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const engine = path.join(out, name);
  await convert(path.join(dir, name), engine);
  const llm = await LLM.load(engine, { executor: 'cuda', kvCache: { maxTokens: 4096 } });
  const options = { maxTokens: greedy.length, temperature: 0, ignoreEos: true, returnContextLogits: true };
  const { contextLogits, outputs } = await llm.generate({ tokens: prompt }, options);
  await llm.close();
  const ours = relativeError(contextLogits.data, expected, llm.info.vocabSize);
  const same = outputs[0].tokens.findIndex((token, i) => token !== greedy[i]);
  rows[name] = {
    'error, ours': Number(ours.toFixed(5)),
    "error, transformers'": Number(error.toFixed(5)),
    ratio: Number((ours / error).toFixed(2)),
    'equal greedy tokens': `${same < 0 ? greedy.length : same} of ${greedy.length}`,
  };
  if (!(ours <= MOST_OF_THEIRS * error)) process.exitCode = 1;
}
rmSync(out, { recursive: true });
console.table(rows);
if (process.exitCode)
  console.error(`Logits are further from fp32 than ${MOST_OF_THEIRS} times transformers' own error.`);

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
