import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parseJsonObject } from '#lib/base/json.js';
import { type EngineConfig, parseEngineConfig } from '#lib/engine/directory/checkpoint-config.js';

/** A directory that is gone after the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'engine-test-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

type Json = Record<string, unknown>;

export async function readJson(file: string): Promise<Json> {
  return JSON.parse(await readFile(file, 'utf8'));
}

/** Changes fields of a JSON file; undefined removes one. */
export async function editJson(file: string, changes: Json): Promise<void> {
  await writeFile(file, JSON.stringify({ ...(await readJson(file)), ...changes }));
}

/** The config.json of a checkpoint, with what it leaves out. */
export async function readEngineConfig(dir: string): Promise<EngineConfig> {
  const file = join(dir, 'config.json');
  return parseEngineConfig(parseJsonObject(await readFile(file, 'utf8'), { file, code: 'ERR_ENGINE_CONFIG', fix: '' }));
}

/** A safetensors file: a header, as an object or as it stands, and `dataBytes` zeros. */
export function safetensorsBytes(header: Json | string, dataBytes: number): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataBytes)]);
}
