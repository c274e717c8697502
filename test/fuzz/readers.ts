import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadAddon } from '#lib/addon/addon.js';
import { convert } from '#lib/engine/convert/convert.js';
import { openEngine } from '#lib/engine/directory/directory.js';
import { SafetensorsFile } from '#lib/engine/formats/safetensors.js';
import { Tokenizer } from '#lib/text/tokenizer.js';
import { ggufBytes } from '../lib/engine/formats/gguf-bytes.js';
import { paxHeader, type TarMemberSpec, tarBytes } from '../lib/engine/formats/tar-bytes.js';
import { safetensorsBytes } from '../lib/engine/helpers.js';
import { TINY_LLAMAS, writeTinyLlama } from '../tools/tiny-llama.js';
import { nemoMembers, writeTinyNemo } from '../tools/tiny-nemo.js';
import { FORMATS, type Format, writeTinyQuantized } from '../tools/tiny-quantized.js';
import { damageBytes, damageFile, damageGguf, type GgufContents } from './damage.js';
import type { Random } from './random.js';
import type { Files, Input, Reader } from './reader.js';
import { REQUEST_READERS } from './request-readers.js';

export const READERS: Readonly<Record<string, Reader>> = {
  ...REQUEST_READERS,
  safetensors: {
    codes: ['ERR_SOURCE_INVALID', 'ERR_MODEL_UNSUPPORTED'],
    async prepare() {
      const tensor = (dtype: string, begin: number, end: number) => ({
        dtype,
        shape: [2, 2],
        data_offsets: [begin, end],
      });
      const header = { a: tensor('F32', 0, 16), b: tensor('BF16', 16, 24), __metadata__: { format: 'pt' } };
      return damaging({ 'model.safetensors': safetensorsBytes(header, 24) });
    },
    async read(dir) {
      const file = await SafetensorsFile.open(join(dir, 'model.safetensors'));
      const { size } = await file.handle.stat();
      await file.close();
      for (const { position, bytes } of file.entries.values()) assert.ok(position >= 8 && position + bytes <= size);
    },
  },
  gguf: {
    codes: ['ERR_SOURCE_INVALID', 'ERR_MODEL_UNSUPPORTED'],
    prepare: async () => ({
      valid: { 'model.gguf': ggufBytes(GGUF_SEED.metadata, GGUF_SEED.tensors) },
      damaged(random) {
        const { metadata, tensors } = random.oneIn(8) ? GGUF_SEED : damageGguf(GGUF_SEED, random);
        const bytes = ggufBytes(metadata, tensors);
        return { 'model.gguf': random.oneIn(3) ? damageBytes(bytes, random) : bytes };
      },
    }),
    async read(dir) {
      // What is written is ours alone, so that all of it must be read again.
      const engine = await openEngine(await converted(dir, 'model.gguf'));
      assert.ok(
        engine.tokenizerPath === undefined ||
          (await Tokenizer.load(loadAddon(), { tokenizerPath: engine.tokenizerPath })),
      );
    },
  },
  'gguf-parts': {
    codes: ['ERR_SOURCE_INVALID', 'ERR_MODEL_UNSUPPORTED', 'ERR_SOURCE_NOT_FOUND'],
    prepare: async () => ({
      valid: partsOf(GGUF_SEED),
      damaged(random) {
        const parts: Record<string, Buffer> = {
          ...partsOf(random.oneIn(4) ? damageGguf(GGUF_SEED, random) : GGUF_SEED),
        };
        const names = Object.keys(parts);
        const [name, other] = [random.pick(names), random.pick(names)];
        random.pick<() => unknown>([
          () => delete parts[name],
          () => Object.assign(parts, { [name]: parts[other] }),
          () => Object.assign(parts, { [name]: damageBytes(parts[name] ?? Buffer.alloc(0), random) }),
          () => Object.assign(parts, { [`x${name}`]: parts[name] }),
        ])();
        return parts;
      },
    }),
    async read(dir) {
      await openEngine(await converted(dir, '.'));
    },
  },
  blocks: {
    codes: [
      'ERR_SOURCE_INVALID',
      'ERR_MODEL_UNSUPPORTED',
      'ERR_SOURCE_NOT_FOUND',
      'ERR_ENGINE_CONFIG',
      'ERR_TOKENIZER_INVALID',
    ],
    prepare: async () => damaging(await blocksSeed()),
    async read(dir) {
      await openEngine(await converted(dir, '.'));
    },
  },
  huggingface: {
    codes: ['ERR_SOURCE_INVALID', 'ERR_MODEL_UNSUPPORTED', 'ERR_SOURCE_NOT_FOUND', 'ERR_TOKENIZER_MISSING'],
    prepare: async () => damaging(await sharded(await seedDirectory('source'))),
    async read(dir) {
      await converted(dir, '.');
    },
  },
  quantized: {
    codes: ['ERR_SOURCE_INVALID', 'ERR_MODEL_UNSUPPORTED', 'ERR_SOURCE_NOT_FOUND', 'ERR_TOKENIZER_MISSING'],
    async prepare() {
      const seeds = await Promise.all(FORMATS.map(async (format) => damaging(await quantizedSeed(format))));
      return { valid: seeds[0]?.valid ?? {}, damaged: (random) => random.pick(seeds).damaged(random) };
    },
    async read(dir) {
      await openEngine(await converted(dir, '.'));
    },
  },
  nemo: {
    codes: [
      'ERR_SOURCE_INVALID',
      'ERR_SOURCE_NOT_FOUND',
      'ERR_MODEL_UNSUPPORTED',
      'ERR_TOKENIZER_MISSING',
      'ERR_TOKENIZER_INVALID',
    ],
    async prepare() {
      const members = await nemoSeed();
      return {
        valid: { 'x.nemo': tarBytes(members) },
        damaged(random) {
          const bytes = tarBytes(random.oneIn(8) ? members : damageMembers(members, random));
          return { 'x.nemo': random.oneIn(3) ? damageBytes(bytes, random) : bytes };
        },
      };
    },
    async read(dir) {
      await openEngine(await converted(dir, 'x.nemo'));
    },
  },
  engine: {
    codes: [
      'ERR_ENGINE_CONFIG',
      'ERR_ENGINE_RANKS',
      'ERR_ENGINE_WEIGHTS',
      'ERR_MODEL_UNSUPPORTED',
      'ERR_TOKENIZER_INVALID',
    ],
    prepare: async () => damaging(await seedDirectory('engine')),
    async read(dir) {
      const { vocabSize, endIds } = await openEngine(dir);
      for (const id of endIds) assert.ok(Number.isInteger(id) && id >= 0 && id < vocabSize, `the end id ${id}`);
    },
  },
  tokenizer: {
    codes: ['ERR_TOKENIZER_INVALID'],
    async prepare() {
      const { 'tokenizer.json': file } = await seedDirectory('source');
      assert.ok(file);
      return damaging({ 'tokenizer.json': file });
    },
    async read(dir) {
      const tokenizer = await Tokenizer.load(loadAddon(), { tokenizerPath: join(dir, 'tokenizer.json') });
      for (const text of [
        'Hello world, 12\n\n  caf\u00e9 \u65e5\u672c\u{1f600} <s>',
        ' '.repeat(5000),
        'ab1 '.repeat(2000),
      ]) {
        const tokens = await tokenizer.encode(text);
        assert.ok(tokens.every((id) => id >= 0 && id < tokenizer.vocabSize));
        assert.equal(typeof tokenizer.decode(tokens), 'string');
      }
    },
  },
};

/** Up to three of the files damaged; where there are several, some are left out. */
const damaging = (valid: Files): Input => ({
  valid,
  damaged(random) {
    const damaged: Record<string, Buffer> = { ...valid };
    const names = Object.keys(valid);
    for (let left = 1 + random.below(3); left > 0; left--) {
      const name = random.pick(names);
      const bytes = damaged[name];
      if (names.length > 1 && random.oneIn(4)) delete damaged[name];
      else if (bytes && bytes === valid[name]) damaged[name] = damageFile(name, bytes, random);
    }
    return damaged;
  },
});

/** Converts a source in `dir` into a directory beside it; a failure leaves nothing there. */
async function converted(dir: string, source: string): Promise<string> {
  const out = `${dir}-out`;
  await rm(out, { recursive: true, force: true });
  try {
    return await convert(join(dir, source), out);
  } catch (error) {
    assert.ok(!existsSync(out), 'a conversion that failed left its output behind');
    throw error;
  }
}

/** The smallest Llama with a tokenizer, as a Hugging Face directory or as the engine made of it. */
async function seedDirectory(kind: 'source' | 'engine'): Promise<Record<string, Buffer>> {
  const dir = await mkdtemp(join(tmpdir(), 'seed-'));
  try {
    await writeTinyLlama(join(dir, 'source'), { ...TINY_LLAMAS.text, ...SMALL });
    if (kind === 'engine') await convert(join(dir, 'source'), join(dir, 'engine'));
    const files: Record<string, Buffer> = {};
    for (const name of await readdir(join(dir, kind))) files[name] = await readFile(join(dir, kind, name));
    return files;
  } finally {
    await rm(dir, { recursive: true });
  }
}

const SMALL = { hiddenSize: 8, intermediateSize: 12, layers: 1, heads: 2, kvHeads: 1, headDim: 4 };

/** The engine of GGUF_SEED, which keeps its blocks. */
async function blocksSeed(): Promise<Record<string, Buffer>> {
  const dir = await mkdtemp(join(tmpdir(), 'seed-'));
  try {
    await writeFile(join(dir, 'seed.gguf'), ggufBytes(GGUF_SEED.metadata, GGUF_SEED.tensors));
    const engine = await convert(join(dir, 'seed.gguf'), join(dir, 'engine'));
    const files: Record<string, Buffer> = {};
    for (const name of await readdir(engine)) files[name] = await readFile(join(engine, name));
    return files;
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** A model split in two. */
function partsOf({ metadata, tensors }: GgufContents): Files {
  const part = (index: number, own: GgufContents['metadata'], of: GgufContents['tensors']): [string, Buffer] => [
    `x-0000${index + 1}-of-00002.gguf`,
    ggufBytes(
      {
        ...own,
        'split.no': { u32: index },
        'split.count': { u32: 2 },
        'split.tensors.count': { u32: tensors.length },
      },
      of,
    ),
  ];
  return Object.fromEntries([part(0, metadata, tensors.slice(0, 4)), part(1, {}, tensors.slice(4))]);
}

async function quantizedSeed(format: Format): Promise<Record<string, Buffer>> {
  const dir = await mkdtemp(join(tmpdir(), 'seed-'));
  try {
    const sizes = { hiddenSize: 32, intermediateSize: 32, layers: 1, heads: 4, kvHeads: 1, headDim: 8 };
    await writeTinyQuantized(dir, { ...TINY_LLAMAS.text, ...sizes }, format);
    const files: Record<string, Buffer> = {};
    for (const name of await readdir(dir)) files[name] = await readFile(join(dir, name));
    return files;
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function nemoSeed(): Promise<TarMemberSpec[]> {
  const dir = await mkdtemp(join(tmpdir(), 'seed-'));
  try {
    await writeTinyNemo(dir, { ...TINY_LLAMAS.text, ...SMALL });
    const { 'tokenizer.json': tokenizer } = await seedDirectory('source');
    assert.ok(tokenizer);
    return [...(await nemoMembers(dir)), { name: './tokenizer.json', data: tokenizer }];
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** One to three members damaged by what they are, left out, given twice or in other words. */
function damageMembers(members: readonly TarMemberSpec[], random: Random): TarMemberSpec[] {
  const damaged = [...members];
  for (let left = 1 + random.below(3); left > 0; left--) {
    const at = random.below(damaged.length);
    const member = damaged[at] as TarMemberSpec;
    const data = Buffer.from(member.data ?? []);
    const kind = member.name.endsWith('.zarray') ? 'x.json' : member.name;
    random.pick<() => unknown>([
      () => damaged.splice(at, 1),
      () => damaged.push(member),
      () => damaged.splice(at, 1, { ...member, data: damageFile(kind, data, random) }),
      () => damaged.splice(at, 1, { ...member, data: damageFile(kind, data, random) }),
      () => damaged.splice(at, 1, { ...member, type: String(random.below(8)) }),
      () => damaged.splice(at, 1, { ...member, name: random.pick(['../x', '/x', '', 'x'.repeat(100)]) }),
      () =>
        damaged.splice(
          at,
          0,
          paxHeader({ [random.pick(['path', 'size', 'x'])]: random.pick(['', '1', '9e9', '../x']) }),
        ),
    ])();
  }
  return damaged;
}

/** The same model with an index in front of its one safetensors file. */
async function sharded({ 'model.safetensors': weights, ...files }: Record<string, Buffer>): Promise<Files> {
  assert.ok(weights);
  const header = JSON.parse(weights.toString('utf8', 8, 8 + Number(weights.readBigUInt64LE())));
  const weight_map = Object.fromEntries(Object.keys(header).map((name) => [name, 'one.safetensors']));
  const index = Buffer.from(JSON.stringify({ metadata: {}, weight_map }));
  return { ...files, 'one.safetensors': weights, 'model.safetensors.index.json': index };
}

const GGUF_TOKENS = ['a', 'b', 'ab', '<s>', '</s>'];
const GGUF_SEED: GgufContents = {
  metadata: {
    'general.architecture': 'llama',
    'general.alignment': { u32: 32 },
    'llama.block_count': { u32: 1 },
    'llama.context_length': { u32: 64 },
    'llama.embedding_length': { u32: 8 },
    'llama.feed_forward_length': { u32: 256 },
    'llama.attention.head_count': { u32: 2 },
    'llama.attention.head_count_kv': { u32: 1 },
    'llama.attention.layer_norm_rms_epsilon': 1e-5,
    'llama.rope.freq_base': 10_000,
    'llama.rope.dimension_count': { u32: 4 },
    'llama.rope.scaling.type': 'linear',
    'llama.rope.scaling.factor': 2,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'llama-bpe',
    'tokenizer.ggml.tokens': GGUF_TOKENS,
    'tokenizer.ggml.token_type': Int32Array.of(1, 1, 1, 3, 4),
    'tokenizer.ggml.merges': ['a b'],
    'tokenizer.ggml.bos_token_id': { u32: 3 },
    'tokenizer.ggml.eos_token_id': { u32: 4 },
    'tokenizer.ggml.add_bos_token': true,
    'tokenizer.chat_template': '{{ messages }}',
  },
  tensors: [
    ['token_embd', GGUF_TOKENS.length, 8],
    ['blk.0.attn_norm', 8],
    ['blk.0.attn_q', 8, 8],
    ['blk.0.attn_k', 4, 8],
    ['blk.0.attn_v', 4, 8],
    ['blk.0.attn_output', 8, 8],
    ['blk.0.ffn_norm', 8],
    ['blk.0.ffn_gate', 256, 8],
    ['blk.0.ffn_up', 256, 8],
    ['blk.0.ffn_down', 8, 256],
    ['output_norm', 8],
  ].map(([name, ...sizes]) => {
    const shape = sizes as number[];
    const isQ4K = name === 'blk.0.ffn_down';
    const values = shape.reduce((product, size) => product * size, 1);
    return {
      name: `${name}.weight`,
      shape,
      type: isQ4K ? 12 : 0,
      data: new Uint8Array(isQ4K ? (values / 256) * 144 : values * 4),
    };
  }),
};
