import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createHandler } from 'node-tensorrt-llm/server';
import { tinyEngine } from '../../tools/engines.js';

let llm: LLM;
before(async () => {
  llm = await LLM.load(await tinyEngine());
});
after(() => llm.close());

const post = (body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> =>
  createHandler(llm)(new Request('http://localhost/v2/models/engine/infer', { method: 'POST', body, headers }));

interface Tensor {
  name: string;
  datatype: string;
  shape: number[];
  data?: unknown[];
  parameters?: { binary_data_size: number };
}
const bytes = (name: string, data: readonly string[]): Tensor => ({
  name,
  datatype: 'BYTES',
  shape: [data.length, 1],
  data: [...data],
});
const scalar = (name: string, datatype: string, value: unknown, rows = 1): Tensor => ({
  name,
  datatype,
  shape: [rows, 1],
  data: Array(rows).fill(value),
});

async function infer(inputs: readonly Tensor[], fields: object = {}): Promise<Map<string, Tensor>> {
  const response = await post(JSON.stringify({ inputs, ...fields }));
  const { outputs, error } = (await response.json()) as { outputs?: Tensor[]; error?: string };
  assert.equal(error, undefined);
  return new Map(outputs?.map((output) => [output.name, output]));
}

const GREEDY = { temperature: 1, topK: 1, topP: 1 };

test("infer answers several prompts, with NeMo's defaults", async () => {
  const prompts = ['Once', 'Dear Sir'];
  const results = await llm.generate(prompts, { ...GREEDY, maxTokens: 4 });
  const outputs = await infer([bytes('prompts', prompts), scalar('max_length', 'INT64', 4, 2)]);
  assert.deepEqual(
    outputs.get('sentences'),
    bytes(
      'sentences',
      results.map(({ text }) => text),
    ),
  );
  assert.deepEqual(outputs.get('outputs')?.data, outputs.get('sentences')?.data);
  assert.equal(outputs.has('log_probs'), false);
  const [all] = await llm.generate(['Once'], { ...GREEDY, maxTokens: 256 });
  assert.deepEqual((await infer([bytes('prompts', ['Once'])])).get('sentences')?.data, [all?.text]);
});

test('every input of infer has the effect of its option', async () => {
  const sampled = [scalar('top_k', 'INT64', 0), scalar('random_seed', 'INT64', 3)];
  for (const [inputs, options] of [
    [sampled, { topK: 0, seed: 3 }],
    [[...sampled, scalar('top_p', 'FP32', 0.5)], { topK: 0, seed: 3, topP: 0.5 }],
    [[...sampled, scalar('temperature', 'FP32', 0.5)], { topK: 0, seed: 3, temperature: 0.5 }],
    [[...sampled, scalar('use_greedy', 'BOOL', true)], {}],
    [[scalar('repetition_penalty', 'FP32', 5)], { repetitionPenalty: 5 }],
    [[scalar('no_repeat_ngram_size', 'FP32', 1)], { noRepeatNgramSize: 1 }],
    [[bytes('end_strings', ['Z', ''])], { stop: 'Z' }],
    [[bytes('stop_words_list', ['Z']), scalar('min_length', 'INT64', 1)], { stop: 'Z', minTokens: 1 }],
    [[bytes('bad_words_list', ['Z'])], { badWords: 'Z' }],
    [[scalar('add_BOS', 'BOOL', false)], { addSpecialTokens: false }],
    [[scalar('max_batch_size', 'INT64', 8), scalar('output_context_logits', 'BOOL', false)], {}],
  ] as const) {
    const outputs = await infer([bytes('prompts', ['Once']), scalar('max_output_len', 'INT64', 8), ...inputs]);
    const { text } = await llm.generate('Once', { ...GREEDY, maxTokens: 8, ...options });
    assert.deepEqual(outputs.get('sentences')?.data, [text], JSON.stringify(inputs));
  }
});

test('apply_chat_template takes conversations as JSON', async () => {
  const messages = [{ role: 'user', content: 'hi' }];
  const { text } = await llm.generate({ messages }, { ...GREEDY, maxTokens: 4 });
  const asked = [scalar('max_length', 'INT64', 4), scalar('apply_chat_template', 'BOOL', true)];
  const prompts = bytes('prompts', [JSON.stringify(messages)]);
  assert.deepEqual((await infer([prompts, ...asked])).get('sentences')?.data, [text]);
  const echo = await infer([prompts, ...asked, scalar('echo', 'BOOL', true)]);
  assert.deepEqual(echo.get('sentences')?.data, [llm.tokenizer.applyChatTemplate(messages) + text]);
});

test('log-probabilities are rows of one length, with those of the prompt if it is echoed', async () => {
  const prompts = ['Once', 'Sir'];
  const options = { ...GREEDY, maxTokens: 3, topLogprobs: 2, promptLogprobs: true, topPromptLogprobs: 2 };
  const results = await llm.generate(prompts, options);
  const asked = [
    bytes('prompts', prompts),
    scalar('max_length', 'INT64', 3, 2),
    scalar('compute_logprob', 'BOOL', true, 2),
    scalar('n_top_logprobs', 'INT64', 2, 2),
  ];
  const generated = results.map(({ outputs }) => outputs[0]?.logprobs ?? []);
  const plain = await infer(asked);
  assert.deepEqual(plain.get('log_probs')?.shape, [2, 3]);
  assert.deepEqual(
    plain.get('log_probs')?.data,
    generated.flatMap((each) => each.map(({ logprob }) => Math.fround(logprob))),
  );
  const top = (plain.get('top_logprobs')?.data ?? []) as string[];
  for (const [i, row] of generated.entries()) {
    const read = JSON.parse(top[i] ?? '') as Record<string, number>[];
    assert.deepEqual(
      read.map((each) => Math.max(...Object.values(each))),
      row.map((each) => each.top?.[0]?.logprob),
    );
  }
  const echoed = (await infer([...asked, scalar('echo', 'BOOL', true, 2)])).get('log_probs');
  const rows = results.map(({ promptLogprobs = [] }, i) => [...promptLogprobs.slice(1), ...(generated[i] ?? [])]);
  const length = Math.max(...rows.map((row) => row.length));
  assert.deepEqual(echoed?.shape, [2, length]);
  assert.deepEqual(
    echoed?.data,
    rows.flatMap((row) => Array.from({ length }, (_, i) => Math.fround(row[i]?.logprob ?? 0))),
  );
});

/** A request whose inputs are binary data after the JSON. */
function binaryRequest(
  inputs: readonly (Tensor & { bytes: Buffer })[],
  fields: object = {},
): [Buffer, Record<string, string>] {
  const described = inputs.map(({ bytes: data, ...input }) => ({
    ...input,
    parameters: { binary_data_size: data.length },
  }));
  const json = Buffer.from(JSON.stringify({ inputs: described, ...fields }));
  const headers = { 'inference-header-content-length': String(json.length) };
  return [Buffer.concat([json, ...inputs.map((input) => input.bytes)]), headers];
}

const binary = (name: string, datatype: string, shape: number[], data: Buffer) => ({
  name,
  datatype,
  shape,
  bytes: data,
});
function texts(...given: string[]): Buffer {
  return Buffer.concat(
    given.flatMap((text) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(text));
      return [length, Buffer.from(text)];
    }),
  );
}
const int64 = (value: bigint) => Buffer.from(BigInt64Array.of(value).buffer);
const fp32 = (value: number) => Buffer.from(Float32Array.of(value).buffer);

test('inputs and outputs go as binary data after the JSON', async () => {
  const [result] = await llm.generate(['Dé'], {
    ...GREEDY,
    topK: 0,
    temperature: 0.5,
    seed: 9,
    maxTokens: 4,
    logprobs: true,
  });
  const [body, headers] = binaryRequest(
    [
      binary('prompts', 'BYTES', [1, 1], texts('Dé')),
      binary('max_length', 'INT64', [1, 1], int64(4n)),
      binary('top_k', 'INT32', [1, 1], Buffer.alloc(4)),
      binary('random_seed', 'UINT64', [1, 1], int64(9n)),
      binary('temperature', 'FP32', [1, 1], fp32(0.5)),
      binary('compute_logprob', 'BOOL', [1, 1], Buffer.of(1)),
    ],
    { id: '7', outputs: [{ name: 'sentences', parameters: { binary_data: true } }, { name: 'log_probs' }] },
  );
  const response = await post(body, headers);
  assert.equal(response.headers.get('content-type'), 'application/octet-stream');
  const size = Number(response.headers.get('inference-header-content-length'));
  const answer = Buffer.from(await response.arrayBuffer());
  const expected = texts(result?.text ?? '');
  assert.deepEqual(JSON.parse(answer.subarray(0, size).toString()), {
    id: '7',
    model_name: 'engine',
    model_version: '1',
    outputs: [
      { name: 'sentences', datatype: 'BYTES', shape: [1, 1], parameters: { binary_data_size: expected.length } },
      {
        name: 'log_probs',
        datatype: 'FP32',
        shape: [1, 4],
        data: result?.outputs[0]?.logprobs?.map(({ logprob }) => Math.fround(logprob)),
      },
    ],
  });
  assert.deepEqual(answer.subarray(size), expected);
});

test('numbers of every datatype are read', async () => {
  const { text } = await llm.generate('Once', { ...GREEDY, maxTokens: 3 });
  const three = Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0);
  const fp64 = Buffer.from(Float64Array.of(3).buffer);
  for (const [datatype, data] of [
    ...[8, 16, 32, 64].flatMap((bits) =>
      ['INT', 'UINT'].map((type) => [`${type}${bits}`, Buffer.from(three.subarray(0, bits / 8))] as const),
    ),
    ['FP32', fp32(3)] as const,
    ['FP64', fp64] as const,
  ]) {
    const [body, headers] = binaryRequest([
      binary('prompts', 'BYTES', [1], texts('Once')),
      binary('max_length', datatype, [1], data),
    ]);
    const { outputs } = (await (await post(body, headers)).json()) as { outputs: Tensor[] };
    assert.deepEqual(outputs[0]?.data, [text], datatype);
  }
});

test('binary_data_output makes all outputs binary', async () => {
  const inputs = [
    bytes('prompts', ['Once']),
    scalar('max_length', 'INT64', 2),
    scalar('compute_logprob', 'BOOL', true),
  ];
  const response = await post(JSON.stringify({ inputs, parameters: { binary_data_output: true } }));
  const size = Number(response.headers.get('inference-header-content-length'));
  const answer = Buffer.from(await response.arrayBuffer());
  const { outputs } = JSON.parse(answer.subarray(0, size).toString()) as { outputs: Tensor[] };
  assert.deepEqual(
    outputs.map(({ name }) => name),
    ['sentences', 'outputs', 'log_probs'],
  );
  assert.equal(outputs.at(-1)?.parameters?.binary_data_size, 8);
  const sizes = outputs.map(({ parameters }) => parameters?.binary_data_size ?? NaN);
  assert.equal(
    answer.length - size,
    sizes.reduce((sum, each) => sum + each),
  );
});

test('what is wrong with a request is told by the name of the tensor', async () => {
  const errorOf = async (response: Response) => {
    assert.equal(response.status, 400);
    return ((await response.json()) as { error: string }).error;
  };
  const prompts = bytes('prompts', ['Once']);
  for (const [fields, message] of [
    [{ inputs: [] }, /^prompts is missing/],
    [{ inputs: [scalar('prompts', 'INT64', 1)] }, /^prompts\[0\] is 1; expected a text/],
    [{ inputs: [prompts, scalar('top_k', 'BYTES', 'x')] }, /^top_k\[0\] is "x"; expected a number/],
    [{ inputs: [prompts, scalar('echo', 'BOOL', 1)] }, /^echo\[0\] is 1; expected true or false/],
    [{ inputs: [prompts, { ...scalar('top_k', 'INT64', 1), data: [1, 2], shape: [2, 1] }] }, /^top_k has 2 values/],
    [{ inputs: [prompts, scalar('top_n', 'INT64', 1)] }, /^top_n is not an input of this model; expected prompts, /],
    [{ inputs: [prompts, scalar('all_probs', 'BOOL', true)] }, /^all_probs is true, which is not supported/],
    [{ inputs: [prompts, scalar('max_length', 'INT64', -1)] }, /^max_length is -1/],
    [{ inputs: [prompts, scalar('n_top_logprobs', 'INT64', 99)] }, /^n_top_logprobs is 99/],
    [{ inputs: [prompts, scalar('apply_chat_template', 'BOOL', true)] }, /^prompts\[0\] is not a JSON array/],
    [{ inputs: [bytes('prompts', ['[1]']), scalar('apply_chat_template', 'BOOL', true)] }, /message/],
    [{ inputs: [{ ...prompts, shape: [2, 1] }] }, /^prompts has 1 elements; its shape \[2, 1\] has 2/],
    [{ inputs: [{ ...prompts, shape: [1e9, 1] }] }, /^prompts has 1000000000 elements; expected at most/],
    [{ inputs: [{ name: 'prompts', datatype: 'BYTES', shape: [1] }] }, /^prompts has no data/],
    [{ inputs: [bytes('prompts', Array(1025).fill('x'))] }, /^prompts has 1025 texts/],
    [{ inputs: [prompts], outputs: [{ name: 'logits' }] }, /^logits is not an output of this model/],
    [{ inputs: [prompts], parameters: { sequence_id: 1 } }, /^parameters.sequence_id is not a known field/],
    [
      { inputs: [prompts], outputs: [{ name: 'sentences', parameters: { classification: 1 } }] },
      /^outputs\[0\].parameters.classification is not a known field/,
    ],
  ] as const) {
    assert.match(await errorOf(await post(JSON.stringify(fields))), message, JSON.stringify(fields).slice(0, 200));
  }
  for (const [input, message] of [
    [binary('prompts', 'BYTES', [2, 1], texts('a')), /^prompts ends within element 1; expected 2/],
    [binary('prompts', 'BYTES', [1, 1], texts('a', 'b')), /^prompts has 5 bytes after its 1 elements/],
    [binary('prompts', 'BYTES', [1, 1], Buffer.of(9, 0, 0, 0, 65)), /^prompts ends within element 0/],
    [binary('prompts', 'BYTES', [1, 1], Buffer.of(1, 0, 0, 0, 0xff)), /^prompts is not UTF-8 in element 0/],
    [binary('top_k', 'INT64', [1, 1], Buffer.alloc(4)), /^top_k has 4 bytes; expected 8/],
    [binary('top_k', 'FP16', [1, 1], Buffer.alloc(2)), /^top_k has the datatype "FP16"; expected one of BOOL/],
  ] as const) {
    assert.match(await errorOf(await post(...binaryRequest([input]))), message);
  }
  const [body] = binaryRequest([binary('prompts', 'BYTES', [1, 1], texts('a'))]);
  for (const size of ['x', '0', '-1', String(body.length + 1)]) {
    const response = await post(body, { 'inference-header-content-length': size });
    assert.match(await errorOf(response), /^Inference-Header-Content-Length is /);
  }
  const [short, headers] = binaryRequest([binary('prompts', 'BYTES', [1, 1], texts('abc'))]);
  assert.match(
    await errorOf(await post(short.subarray(0, -1), headers)),
    /^prompts has 7 bytes of binary data; the body has 6/,
  );
  assert.match(
    await errorOf(await post(Buffer.concat([short, Buffer.of(0)]), headers)),
    /has 1 bytes that belong to no input/,
  );
});
