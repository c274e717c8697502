import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '#lib/base/errors.js';
import { convert } from '#lib/engine/convert/convert.js';
import { failsWith } from '../../../tools/fails-with.js';
import { TINY_LLAMAS, type TinyLlamaSpec, writeTinyLlama } from '../../../tools/tiny-llama.js';
import { packNemo, writeTinyNemo } from '../../../tools/tiny-nemo.js';
import { editJson, readEngineConfig, safetensorsBytes, temporaryDirectory } from '../helpers.js';

const SPEC: TinyLlamaSpec = TINY_LLAMAS.text;

/** Files and directories (names that end in a slash), the code, and what the message must name. */
const DIRECTORIES: Record<string, [string[], ErrorCode, ...string[]]> = {
  nothing: [[], 'ERR_SOURCE_NOT_FOUND', 'nothing', '.nemo', '.gguf', 'config.json'],
  'something else': [['photo.jpg', 'notes.txt'], 'ERR_SOURCE_NOT_FOUND', 'notes.txt, photo.jpg'],
  "Meta's weights": [
    ['params.json', 'consolidated.00.pth', 'consolidated.01.pth', 'tokenizer.model'],
    'ERR_MODEL_UNSUPPORTED',
    'consolidated.00.pth',
    'Meta',
    'convert_llama_weights_to_hf.py',
  ],
  "Mistral's weights": [
    ['params.json', 'consolidated.safetensors', 'tekken.json'],
    'ERR_MODEL_UNSUPPORTED',
    'consolidated.safetensors',
    'Mistral',
  ],
  'pickles beside a config': [
    ['config.json', 'pytorch_model.bin', 'tokenizer.json'],
    'ERR_MODEL_UNSUPPORTED',
    'pytorch_model.bin',
    'safe_serialization',
  ],
  'sharded pickles': [
    ['config.json', 'pytorch_model-00001-of-00002.bin', 'pytorch_model.bin.index.json'],
    'ERR_MODEL_UNSUPPORTED',
    'pytorch_model-00001-of-00002.bin',
  ],
  torch_dist: [['.metadata', '__0_0.distcp', 'metadata.json'], 'ERR_MODEL_UNSUPPORTED', 'torch_dist'],
  'NeMo 2': [['context/', 'weights/'], 'ERR_MODEL_UNSUPPORTED', 'export_ckpt'],
  'one directory for each rank of NeMo': [
    ['model_config.yaml', 'mp_rank_00/', 'mp_rank_01/'],
    'ERR_MODEL_UNSUPPORTED',
    'mp_rank_00',
  ],
  'one directory for each rank': [['mp_rank_00/', 'mp_rank_01/'], 'ERR_MODEL_UNSUPPORTED', 'mp_rank_00'],
  'one directory for each rank and stage': [
    ['tp_rank_00_pp_rank_000/'],
    'ERR_MODEL_UNSUPPORTED',
    'tp_rank_00_pp_rank_000',
  ],
  'a file to pass': [['README.md', 'x.nemo'], 'ERR_SOURCE_NOT_FOUND', join('dir', 'x.nemo')],
  'two GGUF models': [
    ['x-Q4_K_M.gguf', 'x-Q8_0.gguf'],
    'ERR_SOURCE_NOT_FOUND',
    'x-Q4_K_M.gguf, x-Q8_0.gguf. Pass the file',
  ],
  'parts of two GGUF models': [
    ['x-00001-of-00002.gguf', 'y-00002-of-00002.gguf'],
    'ERR_SOURCE_NOT_FOUND',
    'x-00001-of-00002.gguf, y-00002-of-00002.gguf. Pass the file',
  ],
  'a GGUF file of no bytes': [['README.md', 'x.gguf'], 'ERR_SOURCE_INVALID', join('dir', 'x.gguf')],
  'a repository of the cache': [
    ['blobs/', 'refs/', 'snapshots/'],
    'ERR_SOURCE_NOT_FOUND',
    join('snapshots', 'REVISION'),
  ],
  "a NeMo checkpoint's weights alone": [
    ['metadata.json', 'model.embedding.word_embeddings.weight/'],
    'ERR_SOURCE_NOT_FOUND',
    'model_config.yaml',
  ],
};

for (const [what, [names, code, ...named]] of Object.entries(DIRECTORIES)) {
  test(`a directory with ${what} is refused by what it holds`, async (t) => {
    const parent = await temporaryDirectory(t);
    const dir = join(parent, 'dir');
    await mkdir(dir);
    for (const name of names) {
      if (name.endsWith('/')) await mkdir(join(dir, name));
      else await writeFile(join(dir, name), name === 'config.json' ? '{"model_type":"llama"}' : '');
    }
    await assert.rejects(convert(dir, join(parent, 'out')), failsWith(code, dir, ...named));
    assert.deepEqual(await readdir(parent), ['dir']);
  });
}

/** The content of a file, the code, and what the message must name. */
const FILES: Record<string, [Buffer, ErrorCode, ...string[]]> = {
  'nothing in it': [Buffer.alloc(0), 'ERR_SOURCE_NOT_FOUND', 'is empty', '.gguf'],
  'text in it': [Buffer.from('Once upon'), 'ERR_SOURCE_NOT_FOUND', '4f6e6365'],
  'a zip of PyTorch': [Buffer.from('PK\x03\x04...'), 'ERR_MODEL_UNSUPPORTED', 'pickle'],
  'a pickle': [Buffer.from([0x80, 2, 0x7d, 0x71]), 'ERR_MODEL_UNSUPPORTED', 'pickle'],
  'safetensors in it': [safetensorsBytes({}, 0), 'ERR_SOURCE_NOT_FOUND', 'config.json'],
  'a pointer of Git LFS in it': [
    Buffer.from('version https://git-lfs.github.com/spec/v1\n'),
    'ERR_SOURCE_INVALID',
    'git lfs pull',
  ],
  'gzip in it': [Buffer.from([0x1f, 0x8b, 8]), 'ERR_MODEL_UNSUPPORTED', 'tar -xzf'],
};

for (const [what, [bytes, code, ...named]] of Object.entries(FILES)) {
  test(`a file with ${what} is refused by its content, whatever its name`, async (t) => {
    const dir = await temporaryDirectory(t);
    for (const name of ['model.nemo', 'model.bin']) {
      await writeFile(join(dir, name), bytes);
      await assert.rejects(convert(join(dir, name), join(dir, 'out')), failsWith(code, join(dir, name), ...named));
    }
  });
}

test('a pipe is refused, and not read until someone writes to it', async (t) => {
  const dir = await temporaryDirectory(t);
  assert.equal(spawnSync('mkfifo', [join(dir, 'x.gguf')]).status, 0);
  await assert.rejects(convert(join(dir, 'x.gguf'), join(dir, 'out')), failsWith('ERR_SOURCE_NOT_FOUND', 'x.gguf'));
});

test('a file or directory is what it holds, whatever it is called', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'x.nemo'), SPEC);
  await writeTinyNemo(join(dir, 'x.gguf'), SPEC);
  await packNemo(join(dir, 'x.gguf'), join(dir, 'x.safetensors'));
  const options = { tokenizer: join(dir, 'x.nemo') };
  const engines = ['x.nemo', 'x.gguf', 'x.safetensors'].map((name) =>
    convert(join(dir, name), join(dir, `${name}-out`), options),
  );
  const [first, ...others] = await Promise.all(
    (await Promise.all(engines)).map((out) => readFile(join(out, 'rank0.safetensors'))),
  );
  for (const other of others) assert.ok(first?.equals(other));
});

/** The layout of the Hugging Face hub's cache: blobs by their hashes, and a snapshot of links to them. */
async function intoCache(model: string, cache: string): Promise<string> {
  const snapshot = join(cache, 'models--tiny--llama', 'snapshots', 'abc123');
  const blobs = join(cache, 'models--tiny--llama', 'blobs');
  await mkdir(blobs, { recursive: true });
  const entries = await readdir(model, { recursive: true, withFileTypes: true });
  for (const [index, entry] of entries.filter((each) => each.isFile()).entries()) {
    const file = join(entry.parentPath, entry.name);
    const link = join(snapshot, relative(model, file));
    await mkdir(dirname(link), { recursive: true });
    await rename(file, join(blobs, `hash${index}`));
    await symlink(relative(dirname(link), join(blobs, `hash${index}`)), link);
  }
  return snapshot;
}

test("snapshots of the hub's cache, whose files are links to blobs, load, also where the cache is reached by a link", async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  await writeTinyNemo(join(dir, 'nemo'), SPEC);
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await cp(join(dir, 'hf', name), join(dir, 'nemo', name));
  const expected = await readFile(join(await convert(join(dir, 'hf'), join(dir, 'plain')), 'rank0.safetensors'));
  for (const kind of ['hf', 'nemo']) {
    const snapshot = await intoCache(join(dir, kind), join(dir, `${kind}-cache`));
    await symlink(join(dir, `${kind}-cache`), join(dir, `${kind}-link`));
    for (const source of [snapshot, snapshot.replace('-cache', '-link')]) {
      const out = await convert(source, join(dir, 'out'));
      assert.ok(expected.equals(await readFile(join(out, 'rank0.safetensors'))));
    }
  }
});

test('a link out of the directory, or to nothing, is refused, one within it is not', async (t) => {
  const dir = await temporaryDirectory(t);
  const hf = join(dir, 'hf');
  await writeTinyLlama(hf, SPEC);
  await mkdir(join(dir, 'elsewhere'));
  await mkdir(join(hf, 'real'));
  await rename(join(hf, 'tokenizer.json'), join(hf, 'real', 'tokenizer.json'));
  await symlink(join('real', 'tokenizer.json'), join(hf, 'tokenizer.json'));
  await convert(hf, join(dir, 'out'));
  for (const name of ['model.safetensors', 'generation_config.json']) {
    await rename(join(hf, name), join(dir, 'elsewhere', name));
    await symlink(join(dir, 'elsewhere', name), join(hf, name));
    await assert.rejects(convert(hf, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', join(hf, name), 'elsewhere'));
    await rm(join(hf, name));
    await rename(join(dir, 'elsewhere', name), join(hf, name));
  }
  await symlink('gone', join(hf, 'chat_template.jinja'));
  await assert.rejects(
    convert(hf, join(dir, 'out')),
    failsWith('ERR_SOURCE_NOT_FOUND', join(hf, 'chat_template.jinja'), 'leads nowhere'),
  );
});

test('a link out of a NeMo checkpoint is refused, its chunks included', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyNemo(join(dir, 'nemo'), SPEC);
  const chunk = join(dir, 'nemo', 'model_weights', 'model.decoder.final_layernorm.weight', '0');
  await rename(chunk, join(dir, 'chunk'));
  await symlink(join(dir, 'chunk'), chunk);
  await assert.rejects(convert(join(dir, 'nemo'), join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', chunk));
});

test('an engine directory is a source: the same again, or in another type, by way of another place', async (t) => {
  const dir = await temporaryDirectory(t);
  const specs: Readonly<Record<string, TinyLlamaSpec>> = {
    ...TINY_LLAMAS,
    'untied-mha': { ...SPEC, tied: false, kvHeads: 4 },
  };
  for (const [kind, spec] of Object.entries(specs)) {
    const [hf, first, again] = ['hf', 'first', 'again'].map((name) => join(dir, kind, name)) as [
      string,
      string,
      string,
    ];
    await mkdir(join(dir, kind));
    await writeTinyLlama(hf, spec);
    await convert(hf, first, { dtype: 'float32' });
    await convert(first, again, { dtype: 'float32' });
    for (const name of (await readdir(first)).filter((each) => each !== 'manifest.json')) {
      assert.ok((await readFile(join(first, name))).equals(await readFile(join(again, name))), `${kind}: ${name}`);
    }
    if (kind !== 'mha' && kind !== 'untied-mha') continue; // types are converted alike, whatever the architecture
    const weights = async (source: string): Promise<Buffer> =>
      readFile(join(await convert(source, again, { dtype: 'bfloat16' }), 'rank0.safetensors'));
    assert.ok((await weights(hf)).equals(await weights(first)));
    assert.equal((await readEngineConfig(again)).pretrained_config.dtype, 'bfloat16');
  }
});

test('a checkpoint as convert_checkpoint.py writes it, its config at the top, is a source; of two ranks it is refused', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), SPEC);
  const engine = await convert(join(dir, 'hf'), join(dir, 'engine'));
  const { pretrained_config } = await readEngineConfig(engine);
  const bare = join(dir, 'bare');
  await mkdir(bare);
  await cp(join(engine, 'rank0.safetensors'), join(bare, 'rank0.safetensors'));
  await writeFile(join(bare, 'config.json'), JSON.stringify(pretrained_config));
  const out = await convert(bare, join(dir, 'out'));
  assert.ok((await readFile(join(out, 'rank0.safetensors'))).equals(await readFile(join(engine, 'rank0.safetensors'))));

  await editJson(join(bare, 'config.json'), { mapping: { world_size: 2, tp_size: 2, pp_size: 1 } });
  await assert.rejects(
    convert(bare, join(dir, 'out')),
    failsWith('ERR_MODEL_UNSUPPORTED', bare, '2 ranks', '--tp_size'),
  );
  await editJson(join(bare, 'config.json'), { mapping: undefined });
  await rename(join(bare, 'rank0.safetensors'), join(bare, 'rank0.engine'));
  await assert.rejects(convert(bare, join(dir, 'out')), failsWith('ERR_SOURCE_INVALID', bare, 'rank0.safetensors'));
});

test('the option tokenizer replaces the own tokenizer, must be there, and must fit the model', async (t) => {
  const dir = await temporaryDirectory(t);
  await writeTinyLlama(join(dir, 'hf'), { ...SPEC, vocabSize: 300 });
  await writeTinyLlama(join(dir, 'other'), SPEC);
  const changed = { added_tokens: [{ id: 299, content: 'new' }] };
  await editJson(join(dir, 'other', 'tokenizer.json'), changed);
  const out = await convert(join(dir, 'hf'), join(dir, 'out'), { tokenizer: join(dir, 'other') });
  assert.ok((await readFile(join(out, 'tokenizer.json'))).equals(await readFile(join(dir, 'other', 'tokenizer.json'))));

  await editJson(join(dir, 'other', 'tokenizer.json'), { added_tokens: [{ id: 300, content: 'new' }] });
  const fails = (tokenizer: string, code: ErrorCode, ...named: string[]) =>
    assert.rejects(convert(join(dir, 'hf'), join(dir, 'out2'), { tokenizer }), failsWith(code, tokenizer, ...named));
  await fails(join(dir, 'other'), 'ERR_TOKENIZER_INVALID', '301 tokens', '300');
  await rm(join(dir, 'other', 'tokenizer.json'));
  await fails(join(dir, 'other'), 'ERR_TOKENIZER_MISSING', 'tokenizer.json');
  await fails(join(dir, 'gone'), 'ERR_TOKENIZER_MISSING', 'is not a directory');
  assert.deepEqual((await readdir(dir)).sort(), ['hf', 'other', 'out']);
});
