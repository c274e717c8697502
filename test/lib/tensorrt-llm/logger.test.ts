import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { recordingLogger } from '../../tools/recording-logger.js';
import { engineWithConfig, STAND_IN_LIBS, TENSORRT_LLM_LIBRARY } from '../../tools/tensorrt-llm.js';

test('a logger is told which TensorRT-LLM loads which engine, in which mode, on which GPUs', async () => {
  const { logger, lines } = recordingLogger();
  const dir = await engineWithConfig();
  const llm = await LLM.load(dir, { executor: { library: TENSORRT_LLM_LIBRARY }, logger });
  await llm.close();
  assert.deepEqual(lines, [
    `info: TensorRT-LLM 1.2.1 in ${STAND_IN_LIBS} loads ${dir}: leader mode, 1 rank on Stand-in H100`,
  ]);
});
