import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_ROOT } from '../../tools/project.js';

/** The packages that a module of dist imports, with all that it imports itself. */
async function packagesOf(path: string, seen = new Set<string>()): Promise<Set<string>> {
  const packages = new Set<string>();
  if (seen.has(path)) return packages;
  seen.add(path);
  const source = await readFile(join(PROJECT_ROOT, 'dist', path), 'utf8');
  for (const [, name = ''] of source.matchAll(/(?:from|import) '([^']+)'|import\('([^']+)'\)/g)) {
    if (name.startsWith('.')) for (const each of await packagesOf(join(dirname(path), name), seen)) packages.add(each);
    else if (name !== '' && !name.startsWith('node:')) packages.add(name);
  }
  return packages;
}

test('each entry needs the packages that it says, and the core, the metrics and the model of the AI SDK none', async () => {
  assert.deepEqual([...(await packagesOf('index.js'))], []);
  assert.deepEqual([...(await packagesOf('integrations/ai-sdk.js'))], []);
  assert.deepEqual([...(await packagesOf('server/metrics/index.js'))], []);
  assert.deepEqual([...(await packagesOf('server/index.js'))], ['valibot']);
  assert.deepEqual([...(await packagesOf('integrations/otel/index.js'))], ['@opentelemetry/api']);
  for (const name of await packagesOf('integrations/langchain.js')) assert.match(name, /^@langchain\/core\//);
});
