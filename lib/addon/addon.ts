import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { isError, LLMError, messageOf } from '../base/errors.js';
import { fixOf as systemFixOf } from '../base/file-errors.js';
import type { OnEvents } from './events.js';
import type { Addon, LoadedSession, NativeSession } from './protocol.js';

let loaded: { addon: Addon; dir: string } | undefined;

/**
 * Loads the addon, the first time it is needed: importing this package works on any platform.
 * @throws {LLMError} `ERR_PLATFORM_UNSUPPORTED`, `ERR_ADDON_LOAD`.
 */
export function loadAddon(): Addon {
  loaded ??= open();
  return loaded.addon;
}

/**
 * The directory of the addon, where executors' libraries lie too.
 * @throws {LLMError} what loadAddon throws.
 */
export function addonDirectory(): string {
  loaded ??= open();
  return loaded.dir;
}

/**
 * The program that runs an executor for `isolation: 'process'`, and what is better done in a process that ends: it is beside the
 * addon. If it is missing, who starts it says so.
 * @throws {LLMError} what loadAddon throws.
 */
export const hostProgram = (): string => join(addonDirectory(), 'node_tensorrt_llm_host');

function open(): { addon: Addon; dir: string } {
  const found = `${process.platform}-${process.arch}`;
  if (found !== 'linux-x64') {
    throw new LLMError(
      'ERR_PLATFORM_UNSUPPORTED',
      `This is ${found}; expected Linux x64 with glibc. Run node-tensorrt-llm in a container or a virtual machine.`,
    );
  }
  // The variable is that of packages which use node-gyp-build: where another build lies, such as that of a sanitizer.
  const root = process.env.NODE_TENSORRT_LLM_PREBUILD || fileURLToPath(new URL('../..', import.meta.url));
  const require = createRequire(import.meta.url);
  const file = PLACES.map((place) => join(root, place)).find(exists) ?? join(root, PLACES[0]);
  try {
    return { addon: require(file) as Addon, dir: dirname(file) };
  } catch (cause) {
    if (exists('/etc/alpine-release')) {
      throw new LLMError(
        'ERR_PLATFORM_UNSUPPORTED',
        'This is Alpine, which uses musl; expected Linux x64 with glibc. Use an image with glibc, such as node:22-bookworm-slim.',
        { cause },
      );
    }
    const message = `The native addon could not be loaded from ${root}: ${messageOf(cause).replace(/\.$/, '')}. ${fixOf(cause)}`;
    throw new LLMError('ERR_ADDON_LOAD', message, { cause });
  }
}

/** In a clone the addon is built, in a package it is prebuilt. */
const PLACES = ['build/Release/node_tensorrt_llm.node', 'prebuilds/linux-x64/node-tensorrt-llm.glibc.node'] as const;

/** Unlike existsSync() of some versions of Node.js, this does not throw where Node.js may not look. */
function exists(file: string): boolean {
  try {
    return existsSync(file);
  } catch {
    return false;
  }
}

function fixOf(cause: unknown): string {
  const code = isError(cause) && 'code' in cause ? cause.code : undefined;
  if (code === 'ERR_DLOPEN_DISABLED') {
    return "Run node without --no-addons, and under Node's permission model with --allow-addons.";
  }
  if (/too many open files|cannot allocate memory|failed to map/i.test(messageOf(cause))) {
    return 'Raise the limits of this process: ulimit -n (open files) and -v (memory).';
  }
  return systemFixOf(cause, 'Reinstall the package, or run npm install in a clone.');
}

// Node runs no environment clean-up at process.exit(), and the pumps' threads must not run into the end of the process.
const EXIT_DEADLINE_MS = 2000;
const live = new Set<WeakRef<NativeSession>>();

/** Makes the session of this environment; `onEvents` gets its events. */
export function bind({ NativeSession }: Addon, loadedSession: LoadedSession, onEvents: OnEvents): NativeSession {
  if (live.size === 0) process.once('exit', closeAll);
  for (const each of live) if (each.deref() === undefined) live.delete(each);
  const session = new NativeSession(loadedSession, onEvents);
  live.add(new WeakRef(session));
  return session;
}

function closeAll(): void {
  const sessions = [...live].flatMap((each) => each.deref() ?? []);
  for (const session of sessions) session.beginClose(EXIT_DEADLINE_MS, isMainThread ? 'process' : 'thread');
  for (const session of sessions) session.awaitClosed();
}
