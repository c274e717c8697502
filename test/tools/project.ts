import { createRequire } from 'node:module';
import { dirname } from 'node:path';

/** The directory of the project's package.json. */
export const PROJECT_ROOT = dirname(createRequire(import.meta.url).resolve('node-tensorrt-llm/package.json'));
