import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { failsWith } from '../../tools/fails-with.js';
import { recordingLogger } from '../../tools/recording-logger.js';
import { engineConfig, engineWithConfig, TENSORRT_LLM_LIBRARY } from '../../tools/tensorrt-llm.js';

// In a process of its own: one holds one version of libtensorrt_llm.so.
const executor = { library: TENSORRT_LLM_LIBRARY.replace('tensorrt-llm-1.2', 'tensorrt-llm-0.13') };

const engineOf = (fields: object): Promise<string> =>
  engineWithConfig(
    engineConfig((config) => {
      Object.assign(config, { version: '0.13.0' });
      Object.assign(config.pretrained_config ?? {}, fields);
    }),
  );

process.env.STAND_IN_GPUS = '7.5 Tesla T4';
after(() => {
  delete process.env.STAND_IN_GPUS;
});

test('0.13 runs float16 on Turing, and refuses bfloat16', async () => {
  const llm = await LLM.load(await engineOf({}), { executor });
  assert.equal(llm.info.device, 'Tesla T4');
  await llm.close();
  await assert.rejects(
    LLM.load(await engineOf({ dtype: 'bfloat16' }), { executor }),
    failsWith(
      'ERR_MODEL_UNSUPPORTED',
      'Tesla T4 of compute capability 7.5; expected 8.0 or newer',
      'dtype is bfloat16',
    ),
  );
});

test('weight-only quantization on Turing loads with a warning that wheels lack its code', async () => {
  const { logger, lines } = recordingLogger();
  const llm = await LLM.load(await engineOf({ quantization: { quant_algo: 'W8A16' } }), { executor, logger });
  await llm.close();
  const warnings = lines.filter((line) => line.startsWith('warn: '));
  assert.equal(warnings.length, 1, lines.join('\n'));
  assert.match(warnings[0] ?? '', /Tesla T4.*have no code for W8A16/);
});
