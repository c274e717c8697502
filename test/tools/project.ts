import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The directory of the project's package.json. */
export const PROJECT_ROOT = dirname(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'));

/** Where `npm run test:native` puts the executor of test/scripted-executor. */
export const SCRIPTED_LIBRARY = join(PROJECT_ROOT, 'build/tests/test/native/libexecutor_scripted.so');

/** Likewise test/native/thread_limit.cc, for LD_PRELOAD. */
export const THREAD_LIMIT_LIBRARY = join(PROJECT_ROOT, 'build/tests/test/native/libthread_limit.so');

/** Likewise the program of test/fake-host. */
export const FAKE_HOST = join(PROJECT_ROOT, 'build/tests/test/native/fake_host');

/** Node-API module of test/soak/malloc_in_use.cc, from there too. */
export const MALLOC_IN_USE = join(PROJECT_ROOT, 'build/tests/test/native/malloc_in_use.node');
