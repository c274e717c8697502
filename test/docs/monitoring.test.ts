import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { createMetrics } from 'node-tensorrt-llm/metrics';
import { tinyEngine } from '../tools/engines.js';
import { PROJECT_ROOT } from '../tools/project.js';
import { parseMetrics } from '../tools/prometheus.js';

const page = readFileSync(join(PROJECT_ROOT, 'docs/monitoring.md'), 'utf8');

test('docs/monitoring.md has each metric in its table, with its type, help and vLLM name, and no other', async () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\w+) \|(?: `([\w:]+)`)? \| (.+?) \|$/gm)].map(
    ([, ...cells]) => cells,
  );
  const llm = await LLM.load(await tinyEngine());
  try {
    for (const names of ['node-tensorrt-llm', 'vllm'] as const) {
      const metrics = createMetrics(llm, { names });
      await llm.generate('Once', { maxTokens: 2 });
      await assert.rejects(llm.generate('Once', { topP: 2 }));
      metrics.requestEnded({
        method: 'GET',
        path: '/health',
        status: 200,
        model: undefined,
        usage: undefined,
        durationMs: 1,
        aborted: false,
        error: undefined,
      });
      const text = metrics.text();
      metrics.close();
      const nameIn = ([name, , vllm]: (string | undefined)[]) =>
        names === 'vllm' && vllm !== undefined ? vllm : `node_trtllm_${name}`;
      assert.deepEqual(
        [...parseMetrics(text)].map(([name, { type }]) => [name, type]),
        rows.map((row) => [nameIn(row), row[1]]),
      );
      for (const row of rows) {
        const help = row[3]?.replace(/, by (the )?`.*/, '');
        assert.ok(text.includes(`# HELP ${nameIn(row)} ${help}`), `${row[0]}: ${help}`);
      }
    }
  } finally {
    await llm.close();
  }
});
