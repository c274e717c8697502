import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { LLMError } from '#lib/base/errors.js';
import { buildDirectory } from '#lib/engine/convert/build-directory.js';
import { convertHere } from '#lib/engine/convert/convert.js';
import {
  TINY_LLAMAS,
  type TinyLlamaSpec,
  tinyLlamaTensors,
  writeSafetensors,
  writeTinyLlama,
} from '../../../tools/tiny-llama.js';
import { packNemo, writeTinyNemo } from '../../../tools/tiny-nemo.js';
import { ggufBytes } from '../formats/gguf-bytes.js';
import { ggufMetadata, ggufTensors } from '../formats/tiny-gguf.js';
import { temporaryDirectory } from '../helpers.js';

const SPEC: TinyLlamaSpec = TINY_LLAMAS.text;
const OTHERS: Readonly<Record<string, TinyLlamaSpec>> = {
  'of a wider model': { ...SPEC, hiddenSize: SPEC.hiddenSize * 2 },
  'of a model with fewer layers': { ...SPEC, layers: 1 },
  'of a model with more layers': { ...SPEC, layers: SPEC.layers + 1 },
};

const converted = (source: string, out: string): Promise<void> =>
  convertHere({ source, tokenizer: undefined }, {}, (write) => buildDirectory(out, [source], write));

/** Writes a model to a place, which is a directory or a file. */
const SOURCES: Readonly<Record<string, (place: string, spec: TinyLlamaSpec) => Promise<void>>> = {
  'a Hugging Face directory': writeTinyLlama,
  async 'a sharded Hugging Face directory'(place, spec) {
    await writeTinyLlama(place, spec);
    await rm(join(place, 'model.safetensors'));
    const tensors = tinyLlamaTensors(spec);
    const shards = { 'model-1.safetensors': tensors.slice(0, 7), 'model-2.safetensors': tensors.slice(7) };
    const weight_map: Record<string, string> = {};
    for (const [name, part] of Object.entries(shards)) {
      await writeSafetensors(join(place, name), part);
      for (const tensor of part) weight_map[tensor.name] = name;
    }
    await writeFile(join(place, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
  },
  'a GGUF file': (place, spec) => writeFile(place, ggufBytes(ggufMetadata(spec), ggufTensors(spec))),
  async 'a split GGUF'(place, spec) {
    await mkdir(place);
    const tensors = ggufTensors(spec);
    for (const [part, held] of [tensors.slice(0, 7), tensors.slice(7)].entries()) {
      const split = {
        'split.no': { u32: part },
        'split.count': { u32: 2 },
        'split.tensors.count': { u32: tensors.length },
      };
      const bytes = ggufBytes({ ...(part === 0 && ggufMetadata(spec)), ...split }, held);
      await writeFile(join(place, `model-0000${part + 1}-of-00002.gguf`), bytes);
    }
  },
  'a NeMo directory': writeNemo,
  async 'a .nemo file'(place, spec) {
    await writeNemo(`${place}-unpacked`, spec);
    await packNemo(`${place}-unpacked`, place);
    await rm(`${place}-unpacked`, { recursive: true });
  },
  async 'an engine directory'(place, spec) {
    await writeTinyLlama(`${place}-hf`, spec);
    await converted(`${place}-hf`, place);
    await rm(`${place}-hf`, { recursive: true });
    await rm(join(place, 'manifest.json')); // not read of a source
  },
};

async function writeNemo(place: string, spec: TinyLlamaSpec): Promise<void> {
  await writeTinyLlama(`${place}-hf`, spec);
  await writeTinyNemo(place, spec);
  await rename(join(`${place}-hf`, 'tokenizer.json'), join(place, 'tokenizer.json'));
  await rm(`${place}-hf`, { recursive: true });
}

const [OTHER_BYTES, ZEROS, MISSING] = ['full of other bytes', 'full of zeros', 'missing'];
const WEIGHTS = 'rank0.safetensors';

/** What can be wrong with a file. */
const DAMAGES: Readonly<Record<string, (file: string) => Promise<void>>> = {
  empty: (file) => truncate(file, 0),
  'cut to its half': async (file) => truncate(file, Math.floor((await stat(file)).size / 2)),
  'one byte short': async (file) => truncate(file, (await stat(file)).size - 1),
  [OTHER_BYTES]: async (file) => writeFile(file, Buffer.alloc((await stat(file)).size, 0xa5)),
  [ZEROS]: async (file) => writeFile(file, Buffer.alloc((await stat(file)).size)),
  'a Git LFS pointer': (file) => writeFile(file, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
  'an empty object': (file) => writeFile(file, '{}'),
  'a list': (file) => writeFile(file, '[[[[1]]]]'),
  [MISSING]: (file) => rm(file),
  async 'a directory'(file) {
    await rm(file);
    await mkdir(file);
  },
  async 'a link to nowhere'(file) {
    await rm(file);
    await symlink(join(dirname(file), 'nowhere'), file);
  },
};

const CODES = ['ERR_SOURCE_NOT_FOUND', 'ERR_SOURCE_INVALID', 'ERR_MODEL_UNSUPPORTED', 'ERR_TOKENIZER_MISSING'];

async function filesOf(source: string): Promise<string[]> {
  if ((await stat(source)).isFile()) return [''];
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  // Of NeMo's arrays one, and nothing that is not read.
  return names
    .map((name) => name.slice(source.length + 1))
    .filter(
      (name) => !/_extra_state|metadata\.json|common\.pt|tokenizer|generation|special_tokens|chat_template/.test(name),
    )
    .filter((name) => !name.startsWith('model_weights') || /word_embeddings.*\/(0\.0|\.zarray)$/.test(name));
}

for (const [kind, write] of Object.entries(SOURCES)) {
  test(`whatever is wrong with a file of ${kind} is a typed error that names it or a tensor, or nothing that matters, and nothing is left`, async (t) => {
    const dir = await temporaryDirectory(t);
    const [source, out] = [join(dir, 'source'), join(dir, 'out')];
    await write(source, SPEC);
    await converted(source, out);
    const weights = await readFile(join(out, WEIGHTS));
    await rm(out, { recursive: true });
    const files = await filesOf(source);
    await rm(source, { recursive: true });

    /** Whether it is refused. A file that lost what it does not need, such as a last line feed, gives the same weights. */
    const check = async (file: string, what: string): Promise<boolean> => {
      const about = `${file || kind} ${what}`;
      const error: unknown = await converted(source, out).catch((thrown: unknown) => thrown);
      if (error === undefined) {
        assert.ok(weights.equals(await readFile(join(out, WEIGHTS))), `${about}: other weights`);
        await rm(out, { recursive: true });
      } else {
        assert.ok(LLMError.is(error), `${about}: ${error}`);
        assert.ok(CODES.includes(error.code), `${about}: ${error.code} ${error.message}`);
        const named = files.map((name) => join(source, name)); // or the one beside it, of two that differ
        const isNamed = named.some((name) => error.message.includes(name)) || /\w\.weight/.test(error.message);
        assert.ok(isNamed || what === `is ${MISSING}`, `${about}: ${error.message}`);
      }
      assert.deepEqual(
        (await readdir(dir)).filter((name) => name.includes('out')),
        [],
        about,
      );
      return error !== undefined;
    };
    for (const file of files) {
      for (const [what, damage] of Object.entries(DAMAGES)) {
        if (/\/\d+\.\d+/.test(file) && [OTHER_BYTES, ZEROS].includes(what)) continue; // values like any other
        await write(source, SPEC);
        await damage(join(source, file));
        await check(file, `is ${what}`);
        await rm(source, { recursive: true, force: true });
      }
    }
    for (const [i, file] of files.entries()) {
      const another = files[(i + 1) % files.length] as string;
      if (another === file) continue;
      await write(source, SPEC);
      await copyFile(join(source, another), join(source, file));
      assert.ok(await check(file, `is a copy of ${another}`));
      await rm(source, { recursive: true });
    }
    for (const [what, spec] of Object.entries(OTHERS)) {
      const refusals = [];
      for (const file of files.filter((name) => /safetensors$|gguf$|config\.(json|yaml)$/.test(name))) {
        const other = join(dir, 'other');
        await write(source, SPEC);
        await write(other, spec);
        await copyFile(join(other, file), join(source, file));
        refusals.push(await check(file, `is ${what}`));
        for (const place of [source, other]) await rm(place, { recursive: true });
      }
      assert.ok(files[0] === '' || refusals.includes(true), `no file may be ${what}`);
    }
  });
}
