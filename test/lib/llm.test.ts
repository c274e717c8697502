import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ErrorCode, LLM, type LLMError, type Result } from 'node-tensorrt-llm';
import { idle } from '../conformance/requests.js';
import { tinyEngine, tinyEngineWith } from '../tools/engines.js';
import { failsWith } from '../tools/fails-with.js';

const PROMPT = 'Once upon a time';
const GREEDY = { temperature: 0, ignoreEos: true, maxTokens: 40 } as const;

describe('a loaded LLM', () => {
  let llm: LLM;
  before(async () => {
    llm = await LLM.load(await tinyEngine());
  });
  after(() => llm.close());

  test('says what it is', () => {
    const { executor, architecture, vocabSize, maxSeqLen, endIds } = llm.info;
    assert.deepEqual(
      { executor, architecture, vocabSize, maxSeqLen, endIds },
      { executor: 'cpu', architecture: 'LlamaForCausalLM', vocabSize: 259, maxSeqLen: 8192, endIds: [258, 256] },
    );
    assert.equal(llm.capabilities.logprobs, true);
    assert.equal(llm.capabilities.lora, false);
  });

  test('takes text, tokens and messages, and text is what its tokens are', async () => {
    const tokens = await llm.tokenizer.encode(PROMPT);
    const fromText = await llm.generate(PROMPT, GREEDY);
    const fromTokens = await llm.generate({ tokens }, GREEDY);
    assert.deepEqual(outputOf(fromTokens), outputOf(fromText));
    assert.equal(fromText.usage.promptTokens, PROMPT.length);

    const messages = [{ role: 'user', content: 'hello' }];
    const fromMessages = await llm.generate({ messages }, GREEDY);
    const rendered = llm.tokenizer.applyChatTemplate(messages);
    assert.equal(rendered, '<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n');
    const again = await llm.generate(rendered, { ...GREEDY, addSpecialTokens: false });
    assert.deepEqual(outputOf(again), outputOf(fromMessages));
  });

  test('streams the text, the tokens and the finish reason that the result has', async () => {
    const generation = llm.stream(PROMPT, GREEDY);
    let text = '';
    const tokens: number[] = [];
    const reasons: unknown[] = [];
    for await (const chunk of generation) {
      assert.equal(chunk.index, 0);
      text += chunk.text;
      tokens.push(...chunk.tokens);
      reasons.push(chunk.finishReason);
    }
    const result = await generation.result;
    assert.equal(text, result.text);
    assert.deepEqual(tokens, [...(result.outputs[0]?.tokens ?? [])]);
    assert.equal(result.text, llm.tokenizer.decode(tokens));
    assert.equal(reasons.at(-1), 'length');
    assert.ok(reasons.slice(0, -1).every((reason) => reason === undefined));
    assert.equal(result.finishReason, 'length');
    assert.equal(result.stopReason, undefined);
    assert.deepEqual(result.usage, { promptTokens: 16, cachedTokens: 15, completionTokens: 40, totalTokens: 56 });
    assert.ok(result.timing.timeToFirstTokenMs > 0 && result.timing.totalMs >= result.timing.timeToFirstTokenMs);
  });

  test('gives each of 64 requests at once the text it gives alone', async () => {
    const prompts = Array.from({ length: 64 }, (_, i) => `${'prompt '.repeat(1 + (i % 9))}${i}`);
    const options = { ...GREEDY, temperature: 0.8, seed: 7 };
    const together = await llm.generate(prompts, options);
    for (const [i, prompt] of prompts.entries()) {
      assert.deepEqual(outputOf(together[i] as Result), outputOf(await llm.generate(prompt, options)), prompt);
    }
  });

  test('wakes the event loop no more often than the model makes a step', async () => {
    const before = llm.stats();
    await llm.generate(Array(16).fill(PROMPT), GREEDY);
    const now = llm.stats();
    assert.ok(now.wakeups - before.wakeups <= now.steps - before.steps);
    assert.equal(now.unknownRows, 0);
  });

  test('draws the same text for the same seed, and another for another', async () => {
    const options = { maxTokens: 30, temperature: 1, ignoreEos: true };
    const [a, b, c] = await llm.generate([PROMPT, PROMPT, PROMPT], { ...options, seed: 1 });
    const other = await llm.generate(PROMPT, { ...options, seed: 2 });
    assert.deepEqual(outputOf(b as Result), outputOf(a as Result));
    assert.deepEqual(outputOf(c as Result), outputOf(a as Result));
    assert.notDeepEqual(outputOf(other).tokens, outputOf(a as Result).tokens);
  });

  test('draws anew where no seed is given', async () => {
    const options = { maxTokens: 30, temperature: 1, ignoreEos: true };
    const results = await llm.generate([PROMPT, PROMPT], options);
    assert.notDeepEqual(outputOf(results[0] as Result).tokens, outputOf(results[1] as Result).tokens);
  });

  test('is greedy by default, and draws once a cut is given', async () => {
    const base = { maxTokens: 30, ignoreEos: true };
    const greedy = outputOf(await llm.generate(PROMPT, { ...base, temperature: 0 }));
    assert.deepEqual(outputOf(await llm.generate(PROMPT, base)), greedy);
    assert.deepEqual(outputOf(await llm.generate(PROMPT, { ...base, topK: 1, seed: 3 })), greedy);
    assert.notDeepEqual(outputOf(await llm.generate(PROMPT, { ...base, topP: 1, seed: 3 })), greedy);
  });

  test('gives log-probabilities of the tokens and of the likeliest beside them', async () => {
    const { outputs } = await llm.generate(PROMPT, { ...GREEDY, topLogprobs: 3 });
    const { logprobs = [], tokens = [], cumulativeLogprob = 0 } = outputs[0] ?? {};
    assert.equal(logprobs.length, tokens.length);
    for (const [i, { token, text, logprob, top = [] }] of logprobs.entries()) {
      assert.equal(token, tokens[i]);
      assert.equal(text, llm.tokenizer.tokenText(token));
      assert.equal(top.length, 3);
      assert.deepEqual({ token: top[0]?.token, logprob: top[0]?.logprob }, { token, logprob });
      assert.ok(top.every((each, rank) => rank === 0 || each.logprob <= (top[rank - 1]?.logprob ?? 0)));
    }
    const sum = logprobs.reduce((total, { logprob }) => total + logprob, 0);
    assert.ok(Math.abs(cumulativeLogprob - sum) < 1e-9 && sum < 0);
  });

  test('submits short texts in the order of the calls, though one takes longer to encode', async () => {
    const long = 'a long prompt '.repeat(250);
    const order: string[] = [];
    const track = async (name: string, prompt: string) => {
      const generation = llm.stream(prompt, { ...GREEDY, maxTokens: 1 });
      const { timing } = await generation.result;
      order.push(name);
      return timing;
    };
    await Promise.all([track('long', long), track('short', 'a')]);
    assert.deepEqual(order, ['long', 'short']);
  });
});

describe('a request ends', () => {
  let llm: LLM;
  let greedy: number[];
  before(async () => {
    llm = await LLM.load(await tinyEngine());
    greedy = outputOf(await llm.generate(PROMPT, GREEDY)).tokens;
  });
  after(() => llm.close());

  test('at an end token, which is not part of it', async () => {
    const last = greedy.findIndex((token, i) => i > 4 && greedy.indexOf(token) === i);
    const [other, end] = [300 % 259, greedy[last] as number];
    const ending = await LLM.load(await tinyEngineWith({ eos_token_id: [other, end] }));
    try {
      const { outputs, finishReason, stopReason, usage } = await ending.generate(PROMPT, { maxTokens: 40 });
      assert.deepEqual([...(outputs[0]?.tokens ?? [])], greedy.slice(0, last));
      assert.deepEqual({ finishReason, stopReason }, { finishReason: 'stop', stopReason: end });
      assert.equal(usage.completionTokens, last);
    } finally {
      await ending.close();
    }
  });

  test('before a stop string that spans tokens, and says which', async () => {
    const whole = llm.tokenizer.decode(greedy);
    const stop = whole.slice(10, 14);
    const at = whole.indexOf(stop);
    const { text, finishReason, stopReason, outputs } = await llm.generate(PROMPT, {
      ...GREEDY,
      stop: ['never in it', stop],
    });
    assert.equal(text, whole.slice(0, at));
    assert.deepEqual({ finishReason, stopReason }, { finishReason: 'stop', stopReason: stop });
    assert.ok((outputs[0]?.tokens.length ?? 0) < greedy.length);
  });

  test('by its signal: iterator and result throw the reason', async () => {
    const controller = new AbortController();
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4000, signal: controller.signal });
    const reason = new Error('enough');
    await assert.rejects(
      async () => {
        for await (const _ of generation) controller.abort(reason);
      },
      (error) => error === reason,
    );
    await assert.rejects(generation.result, (error) => error === reason);
  });

  test('by a signal that has aborted before the call', async () => {
    const signal = AbortSignal.abort('no');
    await assert.rejects(llm.generate(PROMPT, { signal }), (error) => error === 'no');
  });

  test('by abort() inside the loop, which ends without a throw, and result keeps what was read', async () => {
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4000 });
    let read = '';
    let chunks = 0;
    for await (const { text } of generation) {
      read += text;
      chunks++;
      generation.abort();
    }
    const { text, finishReason } = await generation.result;
    assert.equal(chunks, 1);
    assert.equal(finishReason, 'cancelled');
    assert.equal(text.slice(0, read.length), read);
  });

  test('by leaving the loop: the result is what there is, and the executor is free', async () => {
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4000 });
    for await (const _ of generation) break;
    assert.equal((await generation.result).finishReason, 'cancelled');
    await idle(llm);
  });

  test('by await using', async () => {
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4000 });
    await generation[Symbol.asyncDispose]();
    assert.equal((await generation.result).finishReason, 'cancelled');
    await idle(llm);
  });

  test('by its time-out: the last chunk says so, and the result is what there is', async () => {
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 8000, timeoutMs: 30 });
    let text = '';
    let last: unknown;
    for await (const chunk of generation) {
      text += chunk.text;
      last = chunk.finishReason;
    }
    const result = await generation.result;
    assert.deepEqual({ last, reason: result.finishReason }, { last: 'timeout', reason: 'timeout' });
    assert.equal(result.text, text);
    await idle(llm);
  });

  test('before its time-out, which then holds no process back', async () => {
    const { finishReason } = await llm.generate(PROMPT, { ...GREEDY, maxTokens: 2, timeoutMs: 2_000_000_000 });
    assert.equal(finishReason, 'length');
  });

  test('by an error that iterator and result both tell, with the id of the request', async () => {
    const generation = llm.stream({ tokens: [1, 2, 99999] });
    const expected = failsWith('ERR_INVALID_INPUT', /99999/);
    await assert.rejects(async () => {
      for await (const _ of generation) assert.fail('a chunk');
    }, expected);
    await assert.rejects(
      generation.result,
      (error) => expected(error) && (error as LLMError).requestId === generation.id,
    );
  });

  test('and a second iteration throws', async () => {
    const generation = llm.stream(PROMPT, GREEDY);
    for await (const _ of generation);
    await assert.rejects(
      async () => {
        for await (const _ of generation);
      },
      failsWith('ERR_ALREADY_READ', /iterated once/),
    );
    assert.equal((await generation.result).finishReason, 'length');
  });

  test('and next() before the last one settled is refused, without a loss', async () => {
    const generation = llm.stream(PROMPT, GREEDY);
    const reader = generation[Symbol.asyncIterator]();
    const [first, second] = await Promise.allSettled([reader.next(), reader.next()]);
    assert.equal(second.status, 'rejected');
    assert.ok(failsWith('ERR_READ_PENDING', /Await each next/)((second as PromiseRejectedResult).reason));
    let text = first.status === 'fulfilled' ? (first.value.value?.text ?? '') : '';
    for (let step = await reader.next(); !step.done; step = await reader.next()) text += step.value.text;
    assert.equal(text, (await generation.result).text);
  });

  test('textStream and toReadableStream give the same text', async () => {
    const { text } = await llm.generate(PROMPT, GREEDY);
    let fromTextStream = '';
    for await (const part of llm.stream(PROMPT, GREEDY).textStream) fromTextStream += part;
    assert.equal(fromTextStream, text);
    let fromWebStream = '';
    for await (const chunk of llm.stream(PROMPT, GREEDY).toReadableStream()) fromWebStream += chunk.text;
    assert.equal(fromWebStream, text);
    const reader = llm
      .stream(PROMPT, { ...GREEDY, maxTokens: 4000 })
      .toReadableStream()
      .getReader();
    await reader.read();
    await reader.cancel();
    await idle(llm);
  });
});

describe('bad input is refused with its code and leaves other requests alone', () => {
  let llm: LLM;
  before(async () => {
    llm = await LLM.load(await tinyEngine(), { maxSeqLen: 64 });
  });
  after(() => llm.close());

  const refused: [string, unknown, unknown, ErrorCode, RegExp][] = [
    [
      'tokens and messages at once',
      { tokens: [1], messages: [] },
      {},
      'ERR_INVALID_INPUT',
      /"messages"; expected only tokens/,
    ],
    ['a misspelled field', { messages: [], tool: [] }, {}, 'ERR_INVALID_INPUT', /"tool".*tools/],
    ['an empty prompt', '', {}, 'ERR_EMPTY_PROMPT', /prompt/],
    ['no tokens', { tokens: [] }, {}, 'ERR_EMPTY_PROMPT', /prompt/],
    ['a prompt that leaves no room', 'x'.repeat(64), {}, 'ERR_PROMPT_TOO_LONG', /64/],
    ['a token outside the vocabulary', { tokens: [259] }, {}, 'ERR_INVALID_INPUT', /259/],
    ['a negative token', { tokens: [-1] }, {}, 'ERR_INVALID_INPUT', /-1/],
    ['a token that is no integer', { tokens: [1.5] }, {}, 'ERR_INVALID_INPUT', /tokens\[0\] is 1\.5/],
    ['an input of no known shape', { prompt: 'x' }, {}, 'ERR_INVALID_INPUT', /tokens.*messages/],
    ['null', null, {}, 'ERR_INVALID_INPUT', /null/],
    ['messages without a role', { messages: [{ content: 'x' }] }, {}, 'ERR_INVALID_INPUT', /messages\[0\]\.role/],
    ['a temperature below 0', 'x', { temperature: -1 }, 'ERR_INVALID_OPTION', /temperature is -1/],
    ['a temperature that is text', 'x', { temperature: '1' }, 'ERR_INVALID_OPTION', /temperature is "1"/],
    ['a topP of 0', 'x', { topP: 0 }, 'ERR_INVALID_OPTION', /topP is 0/],
    ['fewer than no new tokens', 'x', { maxTokens: -1 }, 'ERR_INVALID_OPTION', /maxTokens is -1/],
    ['NaN', 'x', { minP: Number.NaN }, 'ERR_INVALID_OPTION', /minP is NaN/],
    ['an empty stop string', 'x', { stop: ['a', ''] }, 'ERR_INVALID_OPTION', /stop/],
    ['a time-out of 0', 'x', { timeoutMs: 0 }, 'ERR_INVALID_OPTION', /timeoutMs is 0/],
    ['a signal that is none', 'x', { signal: {} }, 'ERR_INVALID_OPTION', /AbortSignal/],
    ['a misspelled option', 'x', { max_tokens: 3 }, 'ERR_INVALID_OPTION', /Did you mean maxTokens/],
    ['an unknown option', 'x', { beams: 3 }, 'ERR_INVALID_OPTION', /Unknown option "beams"/],
    ['options that are no object', 'x', 7, 'ERR_INVALID_OPTION', /options/],
  ];
  for (const [what, input, options, code, words] of refused) {
    test(what, async () => {
      const neighbour = llm.generate('good', { ...GREEDY, maxTokens: 8 });
      const bad = llm.generate(input as string, options as object);
      await assert.rejects(bad, failsWith(code, words));
      assert.equal((await neighbour).usage.completionTokens, 8);
    });
  }

  test('one bad input of several rejects them all and aborts the rest', async () => {
    await assert.rejects(llm.generate(['good', '', 'good'], GREEDY), failsWith('ERR_EMPTY_PROMPT', /prompt/));
    await idle(llm);
  });
});

describe('load and close', () => {
  test('load names what is wrong with the call', async () => {
    await assert.rejects(LLM.load('/no/such/dir'), failsWith('ERR_ENGINE_NOT_FOUND', /\/no\/such\/dir/));
    const engine = await tinyEngine();
    const executor = 'gpu' as 'cuda';
    await assert.rejects(LLM.load(engine, { executor }), failsWith('ERR_INVALID_OPTION', /executor is "gpu".*'cuda'/));
    await assert.rejects(LLM.load(engine, { threads: 0 }), failsWith('ERR_INVALID_OPTION', /threads is 0/));
    await assert.rejects(LLM.load(engine, { maxSeqLen: 100_000 }), failsWith('ERR_INVALID_OPTION', /100000/));
    const unknown = { thread: 2 } as object;
    await assert.rejects(LLM.load(engine, unknown), failsWith('ERR_INVALID_OPTION', /Unknown option "thread"/));
  });

  test('load takes the sizes it is given, and the executor refuses what it cannot do', async () => {
    const engine = await tinyEngine();
    await assert.rejects(
      LLM.load(engine, { tensorParallelSize: 2 }),
      failsWith('ERR_INVALID_OPTION', /tensorParallelSize is 2/),
    );
    const llm = await LLM.load(engine, { maxBatchSize: 1, maxQueueSize: 1, kvCache: { maxTokens: 256 }, threads: 1 });
    assert.deepEqual([llm.info.maxBatchSize, llm.info.maxSeqLen, llm.info.kvBlocks], [1, 256, 8]);
    await llm.close();
  });

  test('maxQueueSize counts the requests that find no place, not those that come at once', async () => {
    const llm = await LLM.load(await tinyEngine(), { maxBatchSize: 4, maxQueueSize: 2, threads: 1 });
    const generations = [1, 2, 3, 4, 5, 6, 7].map((token) =>
      llm.stream({ tokens: [token] }, { ...GREEDY, maxTokens: 7000 }),
    );
    await assert.rejects(
      generations[6]?.result as Promise<unknown>,
      failsWith('ERR_QUEUE_FULL', /^3 requests would wait; expected at most maxQueueSize, 2\. Try again later,/),
    );
    for (const generation of generations.slice(0, 6)) {
      generation.abort();
      assert.equal((await generation.result).finishReason, 'cancelled');
    }
    await llm.close();
  });

  test('a logger learns what was loaded, and that the KV cache is full', async () => {
    const lines: string[] = [];
    const line = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
    const logger = { error: line('error'), warn: line('warn'), info: line('info'), debug: line('debug') };
    const llm = await LLM.load(await tinyEngine(), { executor: 'cpu', kvCache: { maxTokens: 64 }, logger });
    assert.match(lines.join(), /^info .* weights, \d+ threads?, .* for 64 tokens$/);
    await llm.generate({ tokens: [1] }, { ...GREEDY, n: 2, maxTokens: 60 }); // two outputs at once, of two blocks each
    await llm.close();
    while (lines.length < 2) await new Promise(setImmediate); // a line is a message to the event loop of its own
    assert.match(lines.slice(1).join(), /^warn The KV cache is full/);
  });

  test('load gives up when its signal aborts', async () => {
    const engine = await tinyEngine();
    const reason = new Error('not now');
    await assert.rejects(LLM.load(engine, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
    const controller = new AbortController();
    const loading = LLM.load(engine, { signal: controller.signal, onProgress: () => controller.abort(reason) });
    await assert.rejects(loading, (error) => error === reason);
  });

  test('load rejects with what its onProgress throws', async () => {
    const thrown = new Error('mine');
    const onProgress = (): never => {
      throw thrown;
    };
    await assert.rejects(LLM.load(await tinyEngine(), { onProgress }), (error) => error === thrown);
  });

  test('load tells its progress up to 1', async () => {
    const seen: number[] = [];
    const llm = await LLM.load(await tinyEngine(), { onProgress: (done) => seen.push(done) });
    await llm.close();
    assert.equal(seen.at(-1), 1);
    assert.ok(seen.every((done, i) => done >= (seen[i - 1] ?? 0)));
  });

  test('an engine without a tokenizer takes and gives tokens', async () => {
    const engine = await tinyEngineWith({});
    const { rm } = await import('node:fs/promises');
    await rm(`${engine}/tokenizer.json`);
    const llm = await LLM.load(engine);
    try {
      const { text, outputs } = await llm.generate({ tokens: [1, 2, 3] }, GREEDY);
      assert.equal(text, '');
      assert.equal(outputs[0]?.tokens.length, 40);
      await assert.rejects(llm.generate('text'), failsWith('ERR_TOKENIZER_MISSING', /tokenizer\.json/));
      const stopped = llm.generate({ tokens: [1] }, { stop: 'a' });
      await assert.rejects(stopped, failsWith('ERR_TOKENIZER_MISSING', /tokenizer\.json/));
      assert.throws(() => llm.tokenizer, failsWith('ERR_TOKENIZER_MISSING', /tokenizer\.json/));
    } finally {
      await llm.close();
    }
  });

  test('close ends what runs with ERR_CLOSED and what it had, and refuses what comes after', async () => {
    const llm = await LLM.load(await tinyEngine());
    const generation = llm.stream(PROMPT, { ...GREEDY, maxTokens: 4000 });
    const reader = generation[Symbol.asyncIterator]();
    const first = await reader.next();
    const closed = llm.close();
    assert.equal(llm.close(), closed);
    await assert.rejects(generation.result, (error) => {
      assert.ok(failsWith('ERR_CLOSED', /closed/)(error));
      const { partial } = error as LLMError;
      assert.ok(partial?.text.startsWith(first.value?.text ?? '?'));
      return true;
    });
    await closed;
    await assert.rejects(llm.generate(PROMPT), failsWith('ERR_CLOSED', /load/));
    assert.throws(() => llm.stats(), failsWith('ERR_CLOSED', /closed/));
  });

  test('close with a wrong option rejects and closes nothing', async () => {
    const llm = await LLM.load(await tinyEngine());
    await assert.rejects(llm.close({ drainMs: -1 }), failsWith('ERR_INVALID_OPTION', /drainMs is -1/));
    assert.equal((await llm.generate(PROMPT, GREEDY)).finishReason, 'length');
    await llm.close();
  });

  test('close with drainMs lets requests finish', async () => {
    const llm = await LLM.load(await tinyEngine());
    const running = llm.generate(PROMPT, GREEDY);
    await llm.close({ drainMs: 60_000 });
    assert.equal((await running).finishReason, 'length');
  });

  test('two engines are open at once', async () => {
    const [a, b] = await Promise.all([LLM.load(await tinyEngine()), LLM.load(await tinyEngine(), { threads: 1 })]);
    const results = await Promise.all([a.generate(PROMPT, GREEDY), b.generate(PROMPT, GREEDY)]);
    assert.deepEqual(outputOf(results[0]), outputOf(results[1]));
    await Promise.all([a.close(), b.close()]);
  });
});

function outputOf({ text, outputs }: Result): { text: string; tokens: number[] } {
  return { text, tokens: [...(outputs[0]?.tokens ?? [])] };
}
