import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler, type HandlerOptions } from 'node-tensorrt-llm/server';
import { tinyEngine } from '../../tools/engines.js';
import { PROJECT_ROOT } from '../../tools/project.js';
import { loadEcho, withScript } from '../../tools/scripted.js';

let llm: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine());
});
after(() => llm.close());

const ask = (path: string, init?: RequestInit, options?: HandlerOptions): Promise<Response> =>
  createHandler({ 'tiny model': llm }, options)(new Request(`http://localhost${path}`, init));
const get = async (path: string): Promise<unknown> => (await ask(path)).json();
const post = (path: string, body: object): Promise<Response> =>
  ask(path, { method: 'POST', body: JSON.stringify(body) });
const errorOf = async (response: Response) => ((await response.json()) as { error: string }).error;

const MODEL = '/v2/models/tiny%20model';

test('health and readiness are answered without a body: 200, or 400 while the server is not ready', async () => {
  const options = { isReady: () => false, apiKeys: ['secret'] };
  for (const [path, up, down] of [
    ['/v2/health/live', 200, 200],
    ['/v2/health/ready', 200, 400],
  ] as const) {
    const response = await ask(path);
    assert.deepEqual([response.status, await response.text()], [up, ''], path);
    assert.equal((await ask(path, {}, options)).status, down, path);
  }
  for (const path of [`${MODEL}/ready`, `${MODEL}/versions/1/ready`]) {
    const response = await ask(path);
    assert.deepEqual([response.status, await response.text()], [200, ''], path);
    assert.equal((await ask(path, {}, { isReady: () => false })).status, 400, path);
  }
});

test('/v2 tells name, version and extensions', async () => {
  const { version } = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8')) as { version: string };
  assert.deepEqual(await get('/v2'), {
    name: 'node-tensorrt-llm',
    version,
    extensions: ['binary_tensor_data', 'model_configuration', 'statistics', 'generate'],
  });
});

interface Metadata {
  name: string;
  versions: string[];
  inputs: { name: string; datatype: string; shape: number[] }[];
  outputs: { name: string; datatype: string; shape: number[] }[];
}

test('metadata and configuration of a model describe the same tensors', async () => {
  const metadata = (await get(MODEL)) as Metadata;
  assert.deepEqual([metadata.name, metadata.versions], ['tiny model', ['1']]);
  assert.deepEqual(metadata.inputs[0], { name: 'prompts', datatype: 'BYTES', shape: [-1, -1] });
  const config = (await get(`${MODEL}/versions/1/config`)) as {
    name: string;
    max_batch_size: number;
    input: { name: string; data_type: string; dims: number[]; optional: boolean }[];
    output: { name: string; data_type: string; dims: number[] }[];
  };
  assert.deepEqual([config.name, config.max_batch_size], ['tiny model', llm.info.maxBatchSize]);
  assert.deepEqual(
    config.input.filter(({ optional }) => !optional),
    [{ name: 'prompts', data_type: 'TYPE_STRING', dims: [-1], optional: false }],
  );
  const types = ({ name, datatype }: Metadata['inputs'][number]) => [name, datatype.replace('BYTES', 'STRING')];
  const configTypes = ({ name, data_type }: { name: string; data_type: string }) => [name, data_type.slice(5)];
  assert.deepEqual(config.input.map(configTypes), metadata.inputs.map(types));
  assert.deepEqual(config.output.map(configTypes), metadata.outputs.map(types));
});

test('the index lists the models, and with ready: true only those that are ready', async () => {
  const index = (body: string | undefined, options?: HandlerOptions) =>
    ask('/v2/repository/index', { method: 'POST', ...(body !== undefined && { body }) }, options).then((r) => r.json());
  const listed = { name: 'tiny model', version: '1', state: 'READY', reason: '' };
  assert.deepEqual(await index(undefined), [listed]);
  assert.deepEqual(await index('{"ready": true}'), [listed]);
  const options = { isReady: () => false };
  assert.deepEqual(await index('{}', options), [{ ...listed, state: 'UNAVAILABLE', reason: 'shutting down' }]);
  assert.deepEqual(await index('{"ready": true}', options), []);
  assert.match(await errorOf(await post('/v2/repository/index', { ready: 1 })), /^ready is 1; expected true or false/);
});

test('statistics count requests that succeeded and that failed', async () => {
  const handler = createHandler(llm);
  const run = (path: string, init?: RequestInit) => handler(new Request(`http://localhost/v2/models${path}`, init));
  const generate = (body: object) => run('/engine/generate', { method: 'POST', body: JSON.stringify(body) });
  await generate({ text_input: 'Once', max_tokens: 2 });
  await generate({ text_input: 'Once', max_tokens: -1 });
  for (const path of ['/engine/stats', '/engine/versions/1/stats', '/stats']) {
    const { model_stats } = (await (await run(path)).json()) as {
      model_stats: {
        name: string;
        version: string;
        last_inference: number;
        inference_count: number;
        inference_stats: Record<string, { count: number; ns: number }>;
      }[];
    };
    const [{ name, version, inference_count, inference_stats, last_inference } = assert.fail()] = model_stats;
    assert.deepEqual([name, version, inference_count], ['engine', '1', 1]);
    assert.ok(last_inference > 0);
    assert.equal(inference_stats.success?.count, 1);
    assert.ok(inference_stats.success.ns > 0);
    assert.equal(inference_stats.fail?.count, 1);
    assert.deepEqual(inference_stats.queue, { count: 0, ns: 0 });
  }
});

test('generate gives the prompt and its continuation, or the continuation alone', async () => {
  const { text } = await llm.generate('Once', { maxTokens: 5 });
  const response = await post(`${MODEL}/generate`, { id: '42', text_input: 'Once', parameters: { max_tokens: 5 } });
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  const answer = { model_name: 'tiny model', model_version: '1' };
  assert.deepEqual(await response.json(), { id: '42', ...answer, text_output: `Once${text}` });
  const alone = { text_input: 'Once', max_tokens: 5, exclude_input_in_output: true };
  const response2 = await post(`${MODEL}/versions/1/generate`, alone);
  assert.deepEqual(await response2.json(), { ...answer, text_output: text });
});

test("every field of generate has the effect of its option, and those of TensorRT-LLM's examples have none", async () => {
  const sampled = { temperature: 1, seed: 3 };
  for (const [fields, options] of [
    [sampled, sampled],
    [
      { ...sampled, top_k: 2 },
      { ...sampled, topK: 2 },
    ],
    [
      { ...sampled, top_p: 0.3 },
      { ...sampled, topP: 0.3 },
    ],
    [{ repetition_penalty: 5 }, { repetitionPenalty: 5 }],
    [{ presence_penalty: 2 }, { presencePenalty: 2 }],
    [{ frequency_penalty: 2 }, { frequencyPenalty: 2 }],
    [{ stop_words: ['Z'] }, { stop: 'Z' }],
    [
      { stop_words: 'Z', min_tokens: 1 },
      { stop: 'Z', minTokens: 1 },
    ],
    [{ bad_words: 'Z' }, { badWords: 'Z' }],
    [{ bad_words: '', stop_words: '', pad_id: 2, end_id: llm.info.endIds[0], stream: false, beam_width: 1 }, {}],
  ] as const) {
    const body = { text_input: 'Once', max_tokens: 8, exclude_input_in_output: true, ...fields };
    const { text_output: text } = (await (await post(`${MODEL}/generate`, body)).json()) as { text_output: string };
    const expected = await llm.generate('Once', { maxTokens: 8, ...options });
    assert.equal(text, expected.text, JSON.stringify(fields));
  }
});

test('generate_stream sends the new text event by event, without [DONE]', async () => {
  const { text } = await llm.generate('Once', { maxTokens: 8 });
  const body = { id: 'a', text_input: 'Once', max_tokens: 8, stream: true };
  const response = await post(`${MODEL}/generate_stream`, body);
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  const events = (await response.text()).split('\n\n').slice(0, -1);
  const answers = events.map((event) => JSON.parse(event.replace('data: ', '')) as { text_output: string });
  assert.equal(answers.map(({ text_output }) => text_output).join(''), text);
  const { text_output: _, ...head } = answers[0] ?? assert.fail();
  assert.deepEqual(head, { id: 'a', model_name: 'tiny model', model_version: '1' });
});

test('a failure in generate_stream is its last event', async () => {
  await withScript({ fail_every: 1 }, async (failing) => {
    const body = JSON.stringify({ text_input: 'Once', max_tokens: 50 });
    const request = new Request('http://localhost/v2/models/m/generate_stream', { method: 'POST', body });
    const response = await createHandler({ m: failing })(request);
    assert.equal(response.status, 200);
    const last = (await response.text()).trimEnd().split('\n\n').at(-1);
    assert.equal(last, 'data: {"error":"The server is out of memory."}');
  });
});

test("infer's sentences have what the model thought", async () => {
  const thinking = await loadEcho('{# <think> #}{{ messages[-1].content }}');
  try {
    const prompt = JSON.stringify([{ role: 'user', content: '\x02<think>hm</think>yes\x03' }]);
    const inputs = [
      { name: 'prompts', datatype: 'BYTES', shape: [1], data: [prompt] },
      { name: 'apply_chat_template', datatype: 'BOOL', shape: [1], data: [true] },
    ];
    const init = { method: 'POST', body: JSON.stringify({ inputs }) };
    const response = await createHandler({ m: thinking })(new Request('http://localhost/v2/models/m/infer', init));
    const { outputs } = (await response.json()) as { outputs: { data: string[] }[] };
    assert.deepEqual(outputs[0]?.data, ['<think>hm</think>yes']);
  } finally {
    await thinking.close();
  }
});

test("errors have Triton's shape, with the field's name in the text", async () => {
  for (const [path, body, status, message] of [
    ['/generate', {}, 400, /^text_input is missing/],
    ['/generate', { text_input: 'x', top_p: 2 }, 400, /^top_p is 2/],
    ['/generate', { text_input: 'x', temprature: 2 }, 400, /^temprature is not a known field/],
    ['/generate', { text_input: 'x', stream: true }, 400, /^stream is true; expected false\. Use generate_stream/],
    ['/generate', { text_input: 'x', end_id: 999 }, 400, /^end_id is 999; expected \d/],
    ['/generate', { text_input: 'x', length_penalty: 2 }, 400, /^length_penalty is not supported/],
    ['/generate', { text_input: 'x', beam_width: 2 }, 400, /^beam_width is 2; expected 1/],
    ['/generate', { text_input: 'x', parameters: 'x' }, 400, /^parameters is "x"; expected an object/],
    ['/generate', { text_input: 'x'.repeat(10_000) }, 400, /reduce the length of the text_input/],
    ['/generate_stream', { text_input: 'x', top_p: 2 }, 400, /^top_p is 2/],
    ['/generate_stream', { text_input: 'x', exclude_input_in_output: false }, 400, /^exclude_input_in_output is false/],
    ['/versions/2/generate', { text_input: 'x' }, 404, /^version is "2"; expected 1/],
    ['/load', {}, 404, /There is no/],
    ['/config', {}, 405, /takes GET/],
  ] as const) {
    const response = await post(`${MODEL}${path}`, body);
    assert.equal(response.status, status, `${path} ${JSON.stringify(body)}`);
    assert.match(await errorOf(response), message);
  }
  const unknown = await post('/v2/models/other/generate', { text_input: 'x' });
  assert.deepEqual([unknown.status, await errorOf(unknown)], [404, 'model is "other"; expected one of "tiny model".']);
  assert.equal((await ask(`${MODEL}/generate`)).status, 405);
  assert.equal((await ask('/v2/unknown')).status, 404);
  const keyless = await ask('/v2', {}, { apiKeys: ['secret'] });
  assert.equal(keyless.status, 401);
  assert.match(await errorOf(keyless), /API key is missing/);
});
