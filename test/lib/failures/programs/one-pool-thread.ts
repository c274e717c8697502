import { readFile } from 'node:fs/promises';
import { LLM } from 'node-tensorrt-llm';
import { given, tell } from '../../../tools/program.js';

export interface Work {
  engine: string;
}

const { engine } = given<Work>();
const first = await LLM.load(engine);
const text = 'a prompt of some length '.repeat(100);
const [second, file, encoded, results] = await Promise.all([
  LLM.load(engine),
  readFile(`${engine}/config.json`, 'utf8'),
  Promise.all(Array.from({ length: 64 }, () => first.tokenizer.encode(text))),
  first.generate(Array(8).fill(text), { maxTokens: 5, ignoreEos: true }),
]);
tell({
  fileWasRead: JSON.parse(file).version !== '',
  lengths: new Set(encoded.map(({ length }) => length)).size,
  results: results.length,
});
await Promise.all([first.close(), second.close()]);
