import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLM, type Lora } from 'node-tensorrt-llm';
import { createHandler, type Handler, type ServedAdapter } from 'node-tensorrt-llm/server';
import { temporaryDirectory, tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';
import { tinyAdapterTensors, writeAdapter } from '../../tools/tiny-adapter.js';

let llm: LLM;
let one: Lora;
let two: Lora;
let handler: Handler;
before(async () => {
  llm = await LLM.load(await tinyEngine(), { peftCache: {} });
  one = await adapterOf(1);
  two = await adapterOf(2);
  handler = createHandler({ tiny: llm }, { adapters: { one: { lora: one }, two: { lora: two, model: 'tiny' } } });
});
after(() => llm.close());

async function adapterOf(seed: number): Promise<Lora> {
  const dir = join(await temporaryDirectory(), 'adapter');
  return llm.readAdapter(await writeAdapter(dir, await tinyAdapterTensors(llm.info.dir, seed)));
}

const post = (path: string, body: object, on = handler): Promise<Response> =>
  on(new Request(`http://localhost${path}`, { method: 'POST', body: JSON.stringify(body) }));
const prompt = 'Once upon a time';
const OPTIONS = { maxTokens: 12, ignoreEos: true, temperature: 0 } as const;
const FIELDS = { prompt, max_tokens: 12, ignore_eos: true, temperature: 0 };

async function textBy(model: string | undefined): Promise<string | undefined> {
  const response = await post('/v1/completions', { model, ...FIELDS });
  const answer = (await response.json()) as { model: string; choices: { text: string }[] };
  assert.equal(answer.model, model ?? 'tiny');
  return answer.choices[0]?.text;
}

test('a request that names an adapter is answered with it, and one without a name by the model alone', async () => {
  const texts: string[] = [];
  for (const lora of [undefined, one, two]) texts.push((await llm.generate(prompt, { ...OPTIONS, lora })).text);
  assert.equal(new Set(texts).size, 3);
  for (let round = 0; round < 2; round++) {
    assert.deepEqual(await Promise.all([undefined, 'one', 'two'].map(textBy)), texts);
  }
});

test('adapters are listed with their model as the parent', async () => {
  const { data } = (await (await handler(new Request('http://localhost/v1/models'))).json()) as {
    data: { id: string; root: string; parent: string | null }[];
  };
  assert.deepEqual(
    data.map(({ id, root, parent }) => [id, root, parent]),
    [
      ['tiny', 'tiny', null],
      ['one', 'one', 'tiny'],
      ['two', 'two', 'tiny'],
    ],
  );
});

test('what is computed without adapters refuses one by name', async () => {
  for (const [path, fields] of [
    ['/v1/embeddings', { input: 'x' }],
    ['/v1/score', { prompt: 'x', continuations: ['y'] }],
  ] as const) {
    const response = await post(path, { model: 'one', ...fields });
    const { error } = (await response.json()) as { error: { param: string; message: string } };
    assert.deepEqual([response.status, error.param], [400, 'model']);
    assert.match(error.message, /"one", an adapter.*expected "tiny"/);
  }
});

test('an adapter does not sleep, wake or say whether it sleeps: its model does', async () => {
  const sleeping = createHandler({ tiny: llm }, { adapters: { one: { lora: one } }, sleepRoutes: true });
  for (const [path, method] of Object.entries({ '/sleep': 'POST', '/wake_up': 'POST', '/is_sleeping': 'GET' })) {
    const response = await sleeping(new Request(`http://localhost${path}?model=one`, { method }));
    const { error } = (await response.json()) as { error: { param: string; message: string } };
    assert.deepEqual([response.status, error?.param], [400, 'model'], path);
    assert.match(error.message, /"one", an adapter.*expected "tiny"/);
  }
  assert.equal(llm.isAsleep, false);
});

test('an adapter that the executor has lost is sent again inside the request', async () => {
  const loaded = await LLM.load(await tinyEngine(), { peftCache: {} });
  const served = createHandler({ tiny: loaded }, { adapters: { one: { lora: one } } });
  const complete = (fields: object = {}) => post('/v1/completions', { model: 'one', ...FIELDS, ...fields }, served);
  const textOf = async (response: Response): Promise<string | undefined> => {
    assert.equal(response.status, 200);
    return ((await response.json()) as { choices: { text: string }[] }).choices[0]?.text;
  };
  const text = await textOf(await complete());
  for (const again of [
    async () =>
      assert.deepEqual(await Promise.all([complete(), complete()].map(async (each) => textOf(await each))), [
        text,
        text,
      ]),
    async () => assert.match(await (await complete({ stream: true })).text(), /"finish_reason":"length".*\[DONE\]/s),
    async () =>
      assert.equal((await post('/v2/models/one/generate', { text_input: prompt, max_tokens: 2 }, served)).status, 200),
  ]) {
    await loaded.sleep();
    await loaded.wake();
    await again();
  }
  await loaded.close();
});

test('an adapter without its model, or of a name that is taken, is refused', async () => {
  const plain = await LLM.load(await tinyEngine());
  const refused = async (adapters: Record<string, ServedAdapter>, message: RegExp): Promise<void> =>
    assert.rejects(
      async () => createHandler({ tiny: llm, plain }, { adapters }),
      failsWith('ERR_INVALID_OPTION', message),
    );
  await refused({ x: { lora: one } }, /adapters\.x names no model; expected model to be one of "tiny", "plain"/);
  await refused({ x: { lora: one, model: 'y' } }, /adapters\.x is for the model "y"/);
  await refused({ x: { lora: one, model: 'plain' } }, /adapters\.x .*peftCache/);
  await refused({ tiny: { lora: one, model: 'tiny' } }, /adapters\.tiny has the name of a model/);
  await plain.close();
});
