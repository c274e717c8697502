import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LLMError } from '../base/errors.js';
import { versionOfHeaders, versionOfPackage } from './versions.js';

export const EXECUTOR_LIBRARY = 'libexecutor_tensorrt_llm.so';
const FACTS = 'executor_tensorrt_llm.json';

/** What a built executor library was made from and for: `executor_tensorrt_llm.json` beside it. Paths are absolute. */
export interface BuiltLibrary {
  /** Of this package, when it was built. */
  packageVersion: string;
  tensorrtLlmVersion: string;
  root: string;
  libraryDir: string;
  includeDir: string;
  /** Libraries that TensorRT-LLM needs and the loader does not find by itself; the executor library names their directories. */
  needs: readonly string[];
  /** sha256 of all that went into the build: sources, headers, options. */
  inputs: string;
}

export const factsPath = (dir: string): string => join(dir, FACTS);

/** Undefined if the file is missing, as beside a library that was built by hand with CMake, or damaged. */
export function readBuiltLibrary(dir: string): BuiltLibrary | undefined {
  try {
    return JSON.parse(readFileSync(factsPath(dir), 'utf8')) as BuiltLibrary;
  } catch {
    return undefined;
  }
}

/**
 * Checks that what the library in `dir` was built for is still there: opening it over another version could crash the process.
 * @throws {LLMError} `ERR_EXECUTOR_UNAVAILABLE`.
 */
export function checkBuiltLibrary(dir: string): void {
  const facts = readBuiltLibrary(dir);
  if (!facts) return;
  const { root, libraryDir, includeDir, tensorrtLlmVersion } = facts;
  const library = join(libraryDir, 'libtensorrt_llm.so');
  const changed = (found: string): LLMError =>
    new LLMError(
      'ERR_EXECUTOR_UNAVAILABLE',
      `${join(dir, EXECUTOR_LIBRARY)} was built for TensorRT-LLM ${tensorrtLlmVersion} in ${root}; ${found}. Reinstall that version, or build for the installed one: npx node-tensorrt-llm setup`,
    );
  if (!existsSync(library)) throw changed(`${library} is gone`);
  const version = versionOfPackage(root) ?? versionOfHeaders(includeDir);
  if (version !== undefined && version !== tensorrtLlmVersion) throw changed(`that now holds ${version}`);
}
