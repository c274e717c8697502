import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addonDirectory } from '../addon/addon.js';
import { LLMError, messageOf } from '../base/errors.js';
import { isSystemError } from '../base/file-errors.js';
import { findCudaHeaders } from '../machine/cuda-headers.js';
import { unavailable } from '../machine/unavailable.js';
import { type BuildInputs, buildLibrary, findBuildTools, hashInputs, PACKAGE_ROOT } from './build.js';
import { type BuiltLibrary, EXECUTOR_LIBRARY, factsPath, readBuiltLibrary } from './built-library.js';
import { findInstallation, requireHeaders } from './installation.js';
import { DRIVER_LIBRARY, findNeededLibraries, fixFor } from './needed-libraries.js';
import type { SetupOptions, SetupStep } from './setup-options.js';
import { tryLibrary } from './try-library.js';
import { doubtOf } from './versions.js';

/** What setup() does, with its options checked. */
export async function installExecutor(options: SetupOptions): Promise<string> {
  const { dryRun = false, signal, onOutput, outDir = addonDirectory() } = options;
  const tell = (name: SetupStep['name'], text: string, warning?: string): void =>
    options.onStep?.({ name, text, ...(warning !== undefined && { warning }) });
  const library = join(outDir, EXECUTOR_LIBRARY);
  if (!dryRun) await checkWritable(outDir);

  const last = readBuiltLibrary(outDir);
  const installation = await findInstallation({ root: options.root, include: options.include, last });
  const { root, foundBy, libraryDir, plugin } = installation;
  tell('tensorrt-llm', `${root}, found by ${foundBy}`);
  const { headers, version } = requireHeaders(installation, options.include);
  tell('headers', `version ${version} in ${headers.includeDir}`, doubtOf(version));
  const cuda = findCudaHeaders(installation.packageDirs);
  tell('cuda', `headers of ${cuda.version ?? 'an unknown version'} in ${cuda.includeDirs.join(', ')}`);
  if (plugin === undefined) {
    throw unavailable(
      `${libraryDir} has no libnvinfer_plugin_tensorrt_llm.so; expected it, because every engine needs it. Reinstall the complete TensorRT-LLM.`,
    );
  }
  const needed = await findNeededLibraries(installation);
  const needs = needed?.elsewhere ?? [];
  const missing = needed?.missing ?? [];
  const fatal = missing.filter((name) => name !== DRIVER_LIBRARY);
  if (fatal.length > 0) {
    const fixes = Array.from(new Set(fatal.map(fixFor)));
    throw unavailable(
      `TensorRT-LLM in ${root} needs ${fatal.join(', ')}, which were not found. To fix it: ${fixes.join('; ')}. If they are installed, set LD_LIBRARY_PATH to their directories for this run.`,
    );
  }
  tell('libraries', needs.length > 0 ? needs.join(', ') : 'the loader finds everything TensorRT-LLM needs');
  const tools = await findBuildTools();
  tell('tools', `CMake ${tools.cmakeVersion}, ${tools.compiler}`);

  const inputs: BuildInputs = { root, libraryDir, headers, version, cudaIncludeDirs: cuda.includeDirs, needs };
  const facts: BuiltLibrary = {
    packageVersion: JSON.parse(await readFile(join(PACKAGE_ROOT, 'package.json'), 'utf8')).version,
    tensorrtLlmVersion: version,
    root,
    libraryDir,
    includeDir: headers.includeDir,
    needs,
    inputs: await hashInputs(inputs, tools),
  };
  const isBuilt = existsSync(library) && last?.inputs === facts.inputs;
  if (dryRun) {
    tell('done', isBuilt ? `${library} is already built for this` : `would build ${library}`);
    return library;
  }
  const open = async (path: string): Promise<void> => {
    if (missing.length > 0) {
      tell(
        'open',
        `not tried: ${DRIVER_LIBRARY} is missing`,
        `Engines cannot run without it: ${fixFor(DRIVER_LIBRARY)}.`,
      );
      return;
    }
    await tryLibrary(path, signal);
    tell('open', `it opens and loads TensorRT-LLM ${version}`);
  };
  if (isBuilt) {
    await open(library);
    tell('done', `${library} was already built for this`);
    return library;
  }

  const buildDir = await mkdtemp(join(tmpdir(), 'node-tensorrt-llm-setup-'));
  // Beside the final place, so that it can be renamed to it.
  const temporary = join(outDir, `.${EXECUTOR_LIBRARY}.part-${randomUUID()}`);
  const temporaryFacts = `${temporary}.json`;
  try {
    tell('build', `in ${buildDir}; this takes a minute`);
    await copyFile(await buildLibrary(inputs, tools, buildDir, { signal, onOutput }), temporary);
    await open(temporary);
    await writeFile(temporaryFacts, `${JSON.stringify(facts, null, 2)}\n`);
    await rename(temporary, library);
    await rename(temporaryFacts, factsPath(outDir));
  } catch (error) {
    if (isSystemError(error)) throw notWritable(outDir, error);
    if (!(error instanceof LLMError)) throw error;
    // What it was called is gone by now.
    throw new LLMError(error.code, error.message.replaceAll(temporary, `the new ${EXECUTOR_LIBRARY}`), {
      cause: error,
    });
  } finally {
    await Promise.all([buildDir, temporary, temporaryFacts].map((path) => rm(path, { recursive: true, force: true })));
  }
  tell('done', library);
  return library;
}

/** Before minutes of compiling. */
async function checkWritable(dir: string): Promise<void> {
  const probe = join(dir, `.write-${randomUUID()}`);
  try {
    await writeFile(probe, '');
    await rm(probe);
  } catch (cause) {
    throw notWritable(dir, cause);
  }
}

const notWritable = (dir: string, cause: unknown): LLMError =>
  new LLMError(
    'ERR_NOT_WRITABLE',
    `${dir}, the directory for the executor library, cannot be written: ${messageOf(cause)}. Run setup as the user who installed the package (with sudo for a global install), or in the image build step that installs it.`,
    { cause },
  );
