import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { isJsonObject, type JsonFields, readJsonIfThere } from '../../base/json.js';

export const MANIFEST_FILE = 'manifest.json';
const FORMAT = 'node-tensorrt-llm engine 1';

/** `manifest.json`: what made an engine directory, and what is in it. */
export interface Manifest {
  /** Names the layout of the directory; a later, different one gets another number. */
  readonly format: typeof FORMAT;
  /** Version of the package that wrote it. */
  readonly version: string;
  readonly source: { readonly kind: SourceKind; readonly name: string };
  readonly dtype: string;
  /** The executors that can run it. */
  readonly executors: readonly string[];
  /** The files beside the manifest, by name. */
  readonly files: Readonly<Record<string, FileFacts>>;
}

const SOURCE_KINDS = ['huggingface', 'gguf', 'nemo', 'checkpoint'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

export interface FileFacts {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

let version: string | undefined;
/** The version of this package. */
export function packageVersion(): string {
  version ??= String(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).version);
  return version;
}

export const makeManifest = (facts: Omit<Manifest, 'format' | 'version'>): Manifest => ({
  format: FORMAT,
  version: packageVersion(),
  ...facts,
});

/** The manifest of an engine directory, or undefined if it has none, as engines made by other tools. */
export async function readManifest(dir: string): Promise<Manifest | undefined> {
  const file = join(dir, MANIFEST_FILE);
  const fields = await readJsonIfThere({
    file,
    code: 'ERR_ENGINE_CONFIG',
    fix: 'Convert the model again, or remove the manifest.',
  });
  return fields && parseManifest(fields);
}

function parseManifest(fields: JsonFields): Manifest {
  if (fields.object.format !== FORMAT) throw fields.error('format', `"${FORMAT}"`);
  const source = fields.child('source');
  const kind = SOURCE_KINDS.find((each) => each === source.object.kind);
  if (!kind) throw source.error('kind', SOURCE_KINDS.map((each) => `"${each}"`).join(' or '));
  const { executors } = fields.object;
  if (!Array.isArray(executors) || !executors.every((name) => typeof name === 'string')) {
    throw fields.error('executors', 'a list of names');
  }
  const files = fields.child('files');
  const facts = Object.keys(files.object).map((name): [string, FileFacts] => {
    if (!isJsonObject(files.object[name])) throw files.error(name, 'an object');
    const file = files.child(name);
    return [name, { bytes: file.integer('bytes', { max: Number.MAX_SAFE_INTEGER }), sha256: file.string('sha256') }];
  });
  return {
    format: FORMAT,
    version: fields.string('version'),
    source: { kind, name: source.string('name') },
    dtype: fields.string('dtype'),
    executors,
    files: Object.fromEntries(facts),
  };
}

/** Size and hash of the files of a directory, but for those whose names are given. */
export async function factsOfFiles(dir: string, except: readonly string[]): Promise<Record<string, FileFacts>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const names = paths.map((path) => relative(dir, path).split(sep).join('/')).filter((name) => !except.includes(name));
  const facts: Record<string, FileFacts> = {};
  for (const name of names.sort()) facts[name] = await hashFile(join(dir, name));
  return facts;
}

export async function hashFile(file: string, signal?: AbortSignal): Promise<FileFacts> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, ...(signal && { signal }) })) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}
