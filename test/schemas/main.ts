// Whether guided output keeps to each schema of a folder of the JSON-Schema-Test-Suite that llguidance supports: a tiny model of random
// weights writes outputs, and Ajv validates those that are complete. `npm run test:schemas -- DIR`, such as tests/draft2020-12.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { tinyEngine } from '../tools/engines.js';

interface Group {
  readonly description: string;
  readonly schema: unknown;
}

const OUTPUTS = 8; // of each schema
const bytes = (text: string, bias: number): [number, number][] =>
  Array.from(text, (each) => [each.charCodeAt(0), bias]);
// A token is a byte. What closes a value is likelier than by chance, and white space is not, so that most outputs end.
const END_ID = 258;
const logitBias = Object.fromEntries([...bytes('"}]', 3), ...bytes(' \t\n\r', -6), [END_ID, 5]]);
const options = { temperature: 1, topK: 0, topP: 1, seed: 1, n: OUTPUTS, maxTokens: 300, logitBias };

const counts = { schemas: 0, unsupported: 0, unchecked: 0, supported: 0, complete: 0, cut: 0, wrong: 0 };
const reasons = new Map<string, number>();

function validatorOf(schema: unknown): ValidateFunction | undefined {
  const ajv = new Ajv2020({ strict: false, logger: false, multipleOfPrecision: 9 });
  addFormats.default(ajv);
  ajv.addFormat('email', /^[^@]+@[^@]+$/); // that of ajv-formats needs a dot in the domain, which RFC 5321 does not
  try {
    return ajv.compile(schema as object);
  } catch {
    return undefined;
  }
}

/** Undefined where llguidance does not support the schema. */
async function outputsOf(llm: LLM, schema: unknown) {
  try {
    return (await llm.generate('Once', { ...options, guided: { jsonSchema: JSON.stringify(schema) } })).outputs;
  } catch (error) {
    if (!LLMError.is(error) || error.code !== 'ERR_INVALID_OPTION') throw error;
    const reason = /cannot be followed: (.*?)[;:]/.exec(error.message)?.[1] ?? error.message;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    return undefined;
  }
}

async function check(llm: LLM, file: string, { description, schema }: Group): Promise<void> {
  counts.schemas++;
  const outputs = await outputsOf(llm, schema);
  if (!outputs) return void counts.unsupported++;
  const validate = validatorOf(schema);
  if (!validate) {
    counts.unchecked++;
    console.log(`not checked, since Ajv cannot compile it: ${file}: ${description}`);
    return;
  }
  counts.supported++;
  for (const { text, finishReason } of outputs) {
    if (finishReason !== 'stop') {
      counts.cut++;
      continue;
    }
    counts.complete++;
    if (validate(JSON.parse(text))) continue;
    counts.wrong++;
    console.error(`${file}: ${description}: ${text} is not valid against ${JSON.stringify(schema)}`);
  }
}

const [dir = '.'] = process.argv.slice(2);
const llm = await LLM.load(await tinyEngine(), { executor: 'cpu', guidedDecoding: 'llguidance' });
try {
  for (const file of (await readdir(dir)).filter((name) => name.endsWith('.json')).sort()) {
    for (const group of JSON.parse(await readFile(join(dir, file), 'utf8')) as Group[]) await check(llm, file, group);
  }
} finally {
  await llm.close();
}
console.log('unsupported, by what llguidance says:', Object.fromEntries([...reasons].sort(([, a], [, b]) => b - a)));
console.log(counts);
if (counts.supported === 0 || counts.wrong > 0) process.exitCode = 1;
