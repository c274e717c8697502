import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as ai6 from 'ai-6';
import * as ai7 from 'ai-7';
import { LLM, LLMError } from 'node-tensorrt-llm';
import { type LanguageModel, languageModel, textEmbeddingModel } from 'node-tensorrt-llm/ai-sdk';
import { tinyEngine } from '../../tools/engines.js';
import { withScript } from '../../tools/scripted.js';

(globalThis as { AI_SDK_LOG_WARNINGS?: boolean }).AI_SDK_LOG_WARNINGS = false;

const prompt = 'Once upon a time';
const messages = [{ role: 'user', content: prompt }];
const question = [{ role: 'user' as const, content: [{ type: 'text' as const, text: prompt }] }];

let llm: LLM;
let model: LanguageModel;
before(async () => {
  llm = await LLM.load(await tinyEngine());
  model = languageModel(llm, { modelId: 'tiny' });
});
after(() => llm.close());

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(setImmediate);
}

const isIdle = (): boolean => llm.stats().activeRequests + llm.stats().queuedRequests === 0;

test('the types of ai 6 and 7 accept the model', () => {
  const accepted: [ai6.LanguageModel, ai7.LanguageModel] = [model, model];
  assert.equal(accepted.length, 2);
});

for (const [version, ai] of [
  [6, ai6],
  [7, ai7 as unknown as typeof ai6], // what is used of it is the same
] as const) {
  describe(`with ai ${version}`, () => {
    test('generateText gives what generate() gives, with usage and timing', async () => {
      const { text, usage } = await llm.generate({ messages }, { maxTokens: 8 });
      const result = await ai.generateText({ model, prompt, maxOutputTokens: 8 });
      assert.equal(result.text, text);
      assert.equal(result.finishReason, 'length');
      assert.equal(result.response.modelId, 'tiny');
      assert.equal(result.usage.inputTokens, usage.promptTokens);
      assert.equal(result.usage.outputTokens, 8);
      assert.equal(result.usage.totalTokens, usage.totalTokens);
      const { timing, ...rest } = result.providerMetadata?.['node-tensorrt-llm'] ?? {};
      assert.ok((timing as { totalMs: number }).totalMs > 0);
      assert.deepEqual(rest, {});
    });

    test('embedMany gives what embed() gives', async () => {
      const values = [prompt, 'hi'];
      const { embeddings, usage } = await llm.embed(values, { pooling: 'mean' });
      const result = await ai.embedMany({ model: textEmbeddingModel(llm, { pooling: 'mean' }), values });
      assert.deepEqual(
        result.embeddings.map((vector) => Float32Array.from(vector)),
        embeddings,
      );
      assert.equal(result.usage.tokens, usage.promptTokens);
    });

    test('streamText gives the same text in parts, then usage and timing', async () => {
      const { text, usage } = await llm.generate({ messages }, { maxTokens: 8 });
      const result = ai.streamText({ model, prompt, maxOutputTokens: 8 });
      const types: string[] = [];
      let streamed = '';
      for await (const part of result.fullStream) {
        if (part.type === 'text-delta') streamed += part.text;
        if (part.type !== types.at(-1)) types.push(part.type);
      }
      assert.equal(streamed, text);
      const parts = ['start', 'start-step', 'text-start', 'text-delta', 'text-end', 'finish-step', 'finish'];
      assert.deepEqual(types, parts);
      assert.equal(await result.finishReason, 'length');
      assert.equal((await result.usage).totalTokens, usage.totalTokens);
      assert.ok((await result.providerMetadata)?.['node-tensorrt-llm']?.timing);
    });

    test('its settings and providerOptions are those of generate()', async () => {
      const options = { topK: 40, topP: 0.9, temperature: 1.2, seed: 3, presencePenalty: 0.1, frequencyPenalty: 0.2 };
      const own = { topLogprobs: 2, minTokens: 3 };
      const { text, outputs } = await llm.generate({ messages }, { ...options, ...own, stop: 'e', maxTokens: 20 });
      const result = await ai.generateText({
        ...options,
        model,
        prompt,
        maxOutputTokens: 20,
        stopSequences: ['e'],
        providerOptions: { 'node-tensorrt-llm': own },
      });
      assert.equal(result.text, text);
      assert.deepEqual(result.warnings, []);
      assert.deepEqual(result.providerMetadata?.['node-tensorrt-llm']?.logprobs, outputs[0]?.logprobs);
    });

    test('a misspelled option rejects with its name, and is not tried again', async () => {
      const providerOptions = { 'node-tensorrt-llm': { max_tokens: 3 } };
      await assert.rejects(ai.generateText({ model, prompt, providerOptions }), { code: 'ERR_INVALID_OPTION' });
    });

    test('an abort rejects generateText and ends streamText, and the request ends in the engine', async () => {
      const abort = new AbortController();
      const generating = ai.generateText({ model, prompt, abortSignal: abort.signal });
      await until(() => llm.stats().activeRequests > 0);
      abort.abort();
      await assert.rejects(generating, { name: 'AbortError' });
      const leaving = new AbortController();
      const types: string[] = [];
      for await (const { type } of ai.streamText({ model, prompt, abortSignal: leaving.signal }).fullStream) {
        types.push(type);
        if (type === 'text-delta') leaving.abort();
      }
      assert.equal(types.at(-1), 'abort');
      await until(isIdle);
    });

    test('a full queue rejects with an error that is tried again', async () => {
      await withScript(
        { step_ms: 1 },
        async (full) => {
          const running = full.stream({ tokens: [1] });
          await until(() => full.stats().activeRequests === 1);
          const waiting = full.stream({ tokens: [1] });
          await until(() => full.stats().queuedRequests === 1);
          const model = languageModel(full);
          for (const answer of [
            ai.generateText({ model, prompt, maxOutputTokens: 1, maxRetries: 0 }),
            model.doStream({ prompt: question, maxOutputTokens: 1 }),
          ]) {
            const error = await Promise.resolve<unknown>(answer).catch((thrown: unknown) => thrown);
            assert.ok(LLMError.is(error) && error.code === 'ERR_QUEUE_FULL', String(error));
            assert.ok(ai.APICallError.isInstance(error) && error.isRetryable);
          }
          running.abort();
          waiting.abort();
        },
        { maxBatchSize: 1, maxQueueSize: 1 },
      );
    });

    test('a failure after the first token is an error part, and what was streamed is kept', async () => {
      await withScript({ fail_every: 1 }, async (failing) => {
        const errors: unknown[] = [];
        const result = ai.streamText({
          model: languageModel(failing),
          prompt,
          onError: ({ error }) => void errors.push(error),
        });
        let streamed = '';
        for await (const part of result.fullStream) if (part.type === 'text-delta') streamed += part.text;
        assert.equal(streamed.length, 1);
        assert.ok(LLMError.is(errors[0]) && errors[0].code === 'ERR_OUT_OF_MEMORY');
        assert.equal(await result.finishReason, 'error');
      });
    });
  });
}

test('cancelling the stream ends the request in the engine', async () => {
  const { stream } = await model.doStream({ prompt: question });
  const reader = stream.getReader();
  await reader.read();
  await reader.cancel();
  await until(isIdle);
});

test('a file in the prompt rejects with the number of its message', async () => {
  const image = { type: 'file', mediaType: 'image/png' } as const;
  await assert.rejects(model.doGenerate({ prompt: [{ role: 'user', content: [image] }] }), {
    code: 'ERR_INVALID_INPUT',
    message: /message 0 has a part of type file/,
  });
});
