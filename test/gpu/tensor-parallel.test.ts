// Engines of several ranks on GPUs: the first ones where there are as many, and all ranks on the first one. Skipped where there is none.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LLM, type LoadOptions } from 'node-tensorrt-llm';
import { temporaryDirectory } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';
import { assertGreedy } from '../tools/gpu.js';
import { answer, assertSameLogits, engines, gpus, placesOf, prompt, skip, withEngine } from '../tools/gpu-ranks.js';
import { TINY_LLAMAS } from '../tools/tiny-llama.js';

// Of the greatest |logit|: weights are the same, activations are rounded to float16 at other places.
const TOLERANCE = 0.01;

/** Llama-3.1-8B's, but for their number and the vocabulary. */
const LARGE_LAYERS = {
  version: '1.0',
  pretrained_config: {
    architecture: 'LlamaForCausalLM',
    dtype: 'bfloat16',
    logits_dtype: 'float32',
    vocab_size: 32_001,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 4,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_size: 128,
    hidden_act: 'silu',
    norm_epsilon: 1e-5,
    position_embedding_type: 'rope_gpt_neox',
    max_position_embeddings: 8192,
    rotary_base: 500_000,
    mapping: { world_size: 2, tp_size: 2, pp_size: 1 },
  },
  build_config: { max_batch_size: 64, max_num_tokens: 2048, max_seq_len: 4096, max_input_len: 4095 },
};

describe('an engine of several ranks on GPUs', { skip }, () => {
  const MODELS = {
    'two KV heads': TINY_LLAMAS.gqa,
    'one KV head for all': TINY_LLAMAS.mqa,
    'biases, and a head of its own': TINY_LLAMAS.biases,
    'a vocabulary that does not divide': TINY_LLAMAS.untied,
    'norms of queries and keys': TINY_LLAMAS.qwen3,
    'fused matrices': TINY_LLAMAS.phi3,
    'a window': TINY_LLAMAS['smollm3-window'],
  } as const;
  for (const [name, spec] of Object.entries(MODELS)) {
    test(`${name}: has the logits of one rank, prompt and new tokens`, async () => {
      const [whole = '', ...split] = await engines(spec, [1, 2, 4]);
      for (const length of [1, 70]) {
        const expected = await withEngine(whole, { executor: 'cuda' }, (llm) => answer(llm, prompt(length)));
        for (const [i, dir] of split.entries()) {
          for (const place of placesOf(2 ** (i + 1))) {
            const found = await withEngine(dir, place, (llm) => answer(llm, prompt(length)));
            const where = `${2 ** (i + 1)} ranks on ${JSON.stringify(place.parallel)}, a prompt of ${length}`;
            assertSameLogits(found, expected, TOLERANCE, where);
          }
        }
      }
    });
  }

  test('pools the hidden states of a prompt as one rank does', async () => {
    const [whole = '', split = ''] = await engines(TINY_LLAMAS.gqa, [1, 2]);
    const poolings = ['last', 'mean', 'cls'] as const;
    const vectors = async (llm: LLM): Promise<Float32Array[]> => {
      const inputs = [1, 70, 300].map((length) => ({ tokens: prompt(length) }));
      const embedded = await Promise.all(poolings.map((pooling) => llm.embed(inputs, { pooling })));
      return embedded.flatMap(({ embeddings }) => embeddings);
    };
    const expected = await withEngine(whole, { executor: 'cuda', maxNumTokens: 128 }, vectors);
    for (const place of placesOf(2)) {
      const found = await withEngine(split, { ...place, maxNumTokens: 128 }, vectors);
      assert.equal(found.length, expected.length);
      for (const [i, vector] of found.entries()) {
        const cosine = vector.reduce((sum, value, at) => sum + value * (expected[i]?.[at] ?? Number.NaN), 0);
        assert.ok(cosine > 1 - TOLERANCE ** 2, `vector ${i} on ${JSON.stringify(place.parallel)}: ${cosine}`);
      }
    }
  });

  test('a batch, forks and long prompts beside it give the likeliest tokens by the CPU', async () => {
    const [tp2 = ''] = await engines(TINY_LLAMAS.biases, [2]);
    const cpu = await LLM.load(tp2, { executor: 'cpu', threads: 2 });
    for (const place of placesOf(2)) {
      await withEngine(tp2, { ...place, maxNumTokens: 300 }, async (llm) => {
        const lengths = Array.from({ length: 40 }, (_, i) => 1 + ((i * 53) % 400));
        const texts = await Promise.all(
          lengths.map((length, i) =>
            llm.generate(
              { tokens: prompt(length, i) },
              { maxTokens: 40, temperature: 0, ignoreEos: true, n: 1 + (i % 2) },
            ),
          ),
        );
        for (const [i, { outputs }] of texts.entries()) {
          for (const { tokens } of outputs) await assertGreedy(cpu, prompt(lengths[i] ?? 0, i), tokens);
        }
      });
    }
    await cpu.close();
  });

  test('draws the same tokens again, and says how it is split', async () => {
    const [tp2 = ''] = await engines(TINY_LLAMAS.gqa, [2]);
    for (const place of placesOf(2)) {
      await withEngine(tp2, place, async (llm) => {
        assert.match(llm.info.device, /^2 ranks, /);
        assert.equal(llm.info.tensorParallelSize, 2);
        const draw = async () => {
          const options = { maxTokens: 60, temperature: 1, seed: 3, ignoreEos: true, logprobs: true } as const;
          return Array.from((await llm.generate({ tokens: prompt(9) }, options)).outputs[0]?.tokens ?? []);
        };
        const first = await draw();
        for (let i = 0; i < 5; i++) assert.deepEqual(await draw(), first);
      });
    }
  });

  test('computes layers as large as a real model has, alone and in batches, always alike', async () => {
    const dir = await temporaryDirectory();
    await writeFile(join(dir, 'config.json'), JSON.stringify(LARGE_LAYERS));
    for (const place of placesOf(2)) {
      // With a prompt of which blocks are there already, the rest is computed in a step of another size, with other last bits.
      const kvCache = { maxTokens: 32_768, blockReuse: false };
      await withEngine(dir, { ...place, loadFormat: 'dummy', kvCache }, async (llm) => {
        const tokensOf = async (length: number) => {
          const options = { maxTokens: 48, temperature: 0, ignoreEos: true };
          return Array.from((await llm.generate({ tokens: prompt(length) }, options)).outputs[0]?.tokens ?? []);
        };
        const alone = await tokensOf(100);
        for (let i = 0; i < 3; i++) assert.deepEqual(await tokensOf(100), alone);
        for (const streams of [3, 24]) {
          const texts = await Promise.all(Array.from({ length: streams }, (_, i) => tokensOf(1 + 40 * i)));
          assert(texts.every(({ length }) => length === 48));
        }
        assert.deepEqual(await tokensOf(100), alone);
      });
    }
  });

  test('takes a GPU for each rank, and dummy weights', async () => {
    const [tp2 = '', tp4 = ''] = await engines(TINY_LLAMAS.gqa, [2, 4]);
    await assert.rejects(
      LLM.load(tp2, { executor: 'cuda', parallel: { deviceIds: [0] } }),
      failsWith('ERR_INVALID_OPTION', 'has 1 id; expected 2'),
    );
    if (gpus < 4) {
      await assert.rejects(
        LLM.load(tp4, { executor: 'cuda' }),
        failsWith('ERR_ENGINE_RANKS', "expected one for each of the engine's 4 ranks"),
      );
    }
    for (const place of placesOf(2)) {
      const options: LoadOptions = { ...place, loadFormat: 'dummy', isolation: 'process' };
      const tokens = await withEngine(tp2, options, async (llm) => {
        const { outputs } = await llm.generate({ tokens: [1, 2, 3] }, { maxTokens: 8, ignoreEos: true });
        return outputs[0]?.tokens.length;
      });
      assert.equal(tokens, 8);
    }
  });

  test('without peer access the ranks exchange through the memory of the host, all but a split embedding', async (t) => {
    const [tp2 = ''] = await engines(TINY_LLAMAS.gqa, [2]);
    const [parts = ''] = await engines(TINY_LLAMAS.gqa, [2], { parallelEmbedding: true });
    const letPeersBe = (): boolean => delete process.env.NODE_TENSORRT_LLM_CUDA_PEER_ACCESS;
    t.after(letPeersBe);
    for (const place of placesOf(2)) {
      letPeersBe();
      const expected = await withEngine(tp2, place, (llm) => answer(llm, prompt(70)));
      process.env.NODE_TENSORRT_LLM_CUDA_PEER_ACCESS = '0';
      await withEngine(tp2, place, async (llm) => {
        assert.match(llm.info.device, /, without peer access$/);
        assertSameLogits(await answer(llm, prompt(70)), expected, TOLERANCE, JSON.stringify(place.parallel));
      });
      await assert.rejects(
        LLM.load(parts, place),
        failsWith('ERR_EXECUTOR_UNAVAILABLE', 'PEER_ACCESS is 0', 'without parallelEmbedding'),
      );
    }
  });

  test('a close in the middle of requests ends all ranks, and another load works', async () => {
    const [tp2 = ''] = await engines(TINY_LLAMAS.gqa, [2]);
    for (const place of placesOf(2)) {
      for (let round = 0; round < 3; round++) {
        const llm = await LLM.load(tp2, place);
        const running = llm.generate({ tokens: prompt(100) }, { maxTokens: 400, ignoreEos: true });
        const failed = assert.rejects(running, failsWith('ERR_CLOSED'));
        while (llm.stats().activeRequests === 0) await new Promise(setImmediate);
        await llm.close();
        await failed;
      }
    }
  });
});
