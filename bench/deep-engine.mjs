// A model that computes more for the same answers: behind each layer of an engine stand others that add nothing, because the
// matrices by which they would are 0. Beside the engine itself it is the most that a draft model can be worth: one that is
// always right.
import { mkdir, open, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

const ADDS = /\.(attention\.dense|mlp\.proj)\./;
const CHUNK = 1 << 24;

/** Writes an engine of `times` as many layers as the one of `from` has, which has one rank and no quantization. */
export async function deepen(from, to, times) {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    if (!['config.json', 'manifest.json', 'rank0.safetensors'].includes(name))
      await symlink(resolve(from, name), join(to, name));
  }
  const config = JSON.parse(await readFile(join(from, 'config.json'), 'utf8'));
  const model = config.pretrained_config ?? config;
  model.num_hidden_layers *= times;
  await writeFile(join(to, 'config.json'), JSON.stringify(config));

  const source = await open(join(from, 'rank0.safetensors'));
  const target = await open(join(to, 'rank0.safetensors'), 'w');
  const { header, begin } = await readHeader(source);
  const tensors = [];
  for (const [name, tensor] of Object.entries(header)) {
    const layer = /^transformer\.layers\.(\d+)\.(.*)/.exec(name);
    if (!layer) tensors.push({ name, tensor, isZero: false });
    for (let copy = 0; layer && copy < times; copy++) {
      const copied = `transformer.layers.${layer[1] * times + copy}.${layer[2]}`;
      tensors.push({ name: copied, tensor, isZero: copy > 0 && ADDS.test(`.${layer[2]}`) });
    }
  }
  let end = 0;
  const entries = tensors.map(({ name, tensor: { dtype, shape, data_offsets } }) => {
    const first = end;
    end += data_offsets[1] - data_offsets[0];
    return [name, { dtype, shape, data_offsets: [first, end] }];
  });
  const json = JSON.stringify(Object.fromEntries(entries));
  const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  await target.writeFile(Buffer.concat([size, text]));
  for (const { tensor, isZero } of tensors) {
    for (let at = tensor.data_offsets[0]; at < tensor.data_offsets[1]; at += CHUNK) {
      const bytes = Buffer.alloc(Math.min(CHUNK, tensor.data_offsets[1] - at));
      if (!isZero) await source.read(bytes, 0, bytes.length, begin + at);
      await target.writeFile(bytes);
    }
  }
  await Promise.all([source.close(), target.close()]);
}

async function readHeader(file) {
  const size = Buffer.alloc(8);
  await file.read(size, 0, 8, 0);
  const text = Buffer.alloc(Number(size.readBigUInt64LE()));
  await file.read(text, 0, text.length, 8);
  const { __metadata__, ...header } = JSON.parse(text.toString());
  return { header, begin: 8 + text.length };
}
