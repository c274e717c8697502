import { rmSync } from 'node:fs';
import { cp, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convert } from '#lib/engine/convert/convert.js';
import { TINY_LLAMAS, writeTinyLlama } from './tiny-llama.js';

export { SCRIPTED_LIBRARY } from './project.js';

const temporary: string[] = [];
process.once('exit', () => {
  for (const dir of temporary) rmSync(dir, { recursive: true, force: true });
});

/** A new directory, which is removed when the process ends. */
export async function temporaryDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'node-tensorrt-llm-'));
  temporary.push(dir);
  return dir;
}

const tiny = new Map<number, Promise<string>>();

/** The engine of the tiny model that has a tokenizer: ids 0 to 255 are the bytes. Made once in a process for each number of ranks. */
export function tinyEngine(tpSize = 1): Promise<string> {
  const made = tiny.get(tpSize);
  if (made) return made;
  const engine = (async () => {
    const dir = await temporaryDirectory();
    await writeTinyLlama(join(dir, 'source'), TINY_LLAMAS.text);
    return convert(join(dir, 'source'), join(dir, 'engine'), { tpSize });
  })();
  tiny.set(tpSize, engine);
  return engine;
}

/** A copy of the tiny engine with another generation_config.json. */
export async function tinyEngineWith(generationConfig: object): Promise<string> {
  const dir = join(await temporaryDirectory(), 'engine');
  await cp(await tinyEngine(), dir, { recursive: true });
  await writeFile(join(dir, 'generation_config.json'), JSON.stringify(generationConfig));
  return dir;
}

/** An engine for the scripted executor; the fields of `script` are those of test/scripted-executor/script.h. */
export async function scriptedEngine(script: Readonly<Record<string, number | boolean | string>>): Promise<string> {
  const dir = await tinyEngineWith({});
  await writeFile(join(dir, 'script.json'), JSON.stringify(script));
  return dir;
}
