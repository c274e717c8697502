import assert from 'node:assert/strict';
import type { Logits, TokenLogprob } from 'node-tensorrt-llm';
import { assertNear, GREEDY, onlyOutput, PROMPT, readWhole, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 16 } as const;

/** The log-probabilities of one row of logits. */
function logSoftmax({ data, columns }: Logits, row: number): Float64Array {
  const logits = Float64Array.from(data.subarray(row * columns, (row + 1) * columns));
  const greatest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - greatest), 0);
  return logits.map((logit) => logit - greatest - Math.log(sum));
}

/** `top` must be the likeliest tokens of the row, likeliest first. */
function assertTop({ top = [] }: TokenLogprob, count: number, row: Float64Array): void {
  assert.equal(top.length, count);
  const sorted = row.toSorted((a, b) => b - a);
  for (const [rank, { token, logprob }] of top.entries()) {
    assertNear(logprob, row[token], `token ${token}`);
    assertNear(logprob, sorted[rank], `rank ${rank}`);
  }
  assert.equal(new Set(top.map(({ token }) => token)).size, count);
}

conformance(['logprobs'], 'logprobs gives one for each token, and cumulativeLogprob is their sum', async ({ llm }) => {
  const output = onlyOutput(await llm.generate(PROMPT, { ...OPTIONS, logprobs: true }));
  const { logprobs = [], cumulativeLogprob, tokens } = output;
  assert.deepEqual(
    logprobs.map(({ token }) => token),
    [...tokens],
  );
  let sum = 0;
  for (const { token, text, logprob, top } of logprobs) {
    assert.equal(text, llm.tokenizer.tokenText(token));
    assert.ok(logprob <= 0 && Number.isFinite(logprob));
    assert.equal(top, undefined);
    sum += logprob;
  }
  assertNear(sum, cumulativeLogprob, 'the sum');
});

conformance(['logprobs'], 'the logprobs of the chunks are those of the result', async ({ llm }) => {
  const { chunks, result } = await readWhole(llm.stream(PROMPT, { ...OPTIONS, logprobs: true }));
  for (const { tokens, logprobs } of chunks) assert.equal(logprobs?.length, tokens.length);
  assert.deepEqual(
    chunks.flatMap(({ logprobs = [] }) => logprobs),
    result.outputs[0]?.logprobs,
  );
});

conformance(['logprobs'], 'logprobs change no token, and are not there unless asked for', async ({ llm }) => {
  const plain = onlyOutput(await llm.generate(PROMPT, OPTIONS));
  const asked = onlyOutput(await llm.generate(PROMPT, { ...OPTIONS, logprobs: true }));
  assert.deepEqual([...asked.tokens], [...plain.tokens]);
  assert.deepEqual(
    [plain.logprobs, plain.cumulativeLogprob, plain.generationLogits],
    [undefined, undefined, undefined],
  );
});

conformance(
  ['topLogprobs', 'generationLogits'],
  'logprobs and topLogprobs are the log-softmax of generationLogits',
  async ({ llm }) => {
    for (const options of [OPTIONS, { ...OPTIONS, temperature: 1.5, topK: 50, seed: 3 }]) {
      const result = await llm.generate(PROMPT, { ...options, topLogprobs: 5, returnGenerationLogits: true });
      const { tokens, logprobs = [], generationLogits } = onlyOutput(result);
      const logits = generationLogits as Logits;
      assert.deepEqual([logits.rows, logits.columns], [tokens.length, llm.info.vocabSize]);
      assert.equal(logits.data.length, logits.rows * logits.columns);
      for (const [i, each] of logprobs.entries()) {
        const row = logSoftmax(logits, i);
        assertNear(each.logprob, row[each.token], `the logprob of token ${i}`);
        assertTop(each, 5, row);
      }
    }
  },
);

conformance(['topLogprobs'], 'topLogprobs may be up to 20, and the greedy token is the first', async ({ llm }) => {
  const { logprobs = [] } = onlyOutput(await llm.generate(PROMPT, { ...OPTIONS, topLogprobs: 20 }));
  for (const { token, logprob, top = [] } of logprobs) {
    assert.equal(top.length, 20);
    assert.equal(top[0]?.token, token);
    // An executor may sum the exponentials of one and of the other in its own order.
    assert(Math.abs((top[0]?.logprob ?? 0) - logprob) < 1e-6, `${top[0]?.logprob} is not ${logprob}`);
  }
});

conformance(
  ['logprobs', 'generationLogits'],
  'a request that a stop string ended has a logprob and a row of logits for each of its tokens',
  async ({ llm }) => {
    const whole = (await llm.generate(PROMPT, OPTIONS)).text;
    const stop = [...whole].find((letter) => letter !== '\ufffd' && whole.indexOf(letter) > 1) as string;
    const result = await llm.generate(PROMPT, { ...OPTIONS, stop, logprobs: true, returnGenerationLogits: true });
    const { tokens, logprobs, generationLogits } = onlyOutput(result);
    assert.equal(result.stopReason, stop);
    assert.deepEqual([logprobs?.length, generationLogits?.rows], [tokens.length, tokens.length]);
  },
);

conformance(
  ['contextLogits'],
  'contextLogits has a row for each token of the prompt, and the last one gives the first token',
  async ({ llm }) => {
    const result = await llm.generate(PROMPT, { ...OPTIONS, returnContextLogits: true });
    const logits = result.contextLogits as Logits;
    assert.deepEqual([logits.rows, logits.columns], [result.usage.promptTokens, llm.info.vocabSize]);
    const last = [...logits.data.subarray((logits.rows - 1) * logits.columns)];
    assert.equal(last.indexOf(Math.max(...last)), tokensOf(result)[0]);
  },
);

conformance(
  ['contextLogits', 'generationLogits'],
  'the last row of contextLogits is the first of generationLogits',
  async ({ llm }) => {
    const options = { ...OPTIONS, returnContextLogits: true, returnGenerationLogits: true };
    const result = await llm.generate(PROMPT, options);
    const { data, rows, columns } = result.contextLogits as Logits;
    const first = onlyOutput(result).generationLogits?.data.subarray(0, columns);
    for (const [token, logit] of data.subarray((rows - 1) * columns).entries()) {
      assertNear(logit, first?.[token], `the logit of token ${token}`);
    }
  },
);

conformance(
  ['promptLogprobs', 'contextLogits'],
  'promptLogprobs are the log-softmax of contextLogits one row before, and null for the first token',
  async ({ llm }) => {
    const prompt = [...(await llm.tokenizer.encode(PROMPT))];
    const options = { ...OPTIONS, topPromptLogprobs: 3, returnContextLogits: true };
    const { promptLogprobs = [], contextLogits } = await llm.generate(PROMPT, options);
    assert.equal(promptLogprobs.length, prompt.length);
    assert.equal(promptLogprobs[0], null);
    for (const [i, each] of promptLogprobs.entries()) {
      if (!each) {
        assert.equal(i, 0);
        continue;
      }
      const row = logSoftmax(contextLogits as Logits, i - 1);
      assert.equal(each.token, prompt[i]);
      assert.equal(each.text, llm.tokenizer.tokenText(each.token));
      assertNear(each.logprob, row[each.token], `the logprob of prompt token ${i}`);
      assertTop(each, 3, row);
    }
  },
);

conformance(
  ['promptLogprobs'],
  'promptLogprobs alone has no top, and comes with a prompt of one token and an output of none',
  async ({ llm, load }) => {
    const { promptLogprobs = [] } = await llm.generate(PROMPT, { ...OPTIONS, promptLogprobs: true });
    assert.ok(promptLogprobs.length > 1);
    assert.ok(promptLogprobs.every((each) => each === null || each.top === undefined));
    const one = await llm.generate({ tokens: [7] }, { ...OPTIONS, promptLogprobs: true });
    assert.deepEqual(one.promptLogprobs, [null]);
    const [first] = tokensOf(await llm.generate(PROMPT, OPTIONS));
    const ending = await load({}, { eos_token_id: first });
    const none = await ending.generate(PROMPT, { temperature: 0, promptLogprobs: true });
    assert.equal(none.usage.completionTokens, 0);
    assert.equal(none.promptLogprobs?.length, promptLogprobs.length);
  },
);

conformance(
  ['promptLogprobs', 'contextLogits', 'severalSequences'],
  'a request of several outputs has one promptLogprobs and one contextLogits',
  async ({ llm }) => {
    const options = { ...OPTIONS, promptLogprobs: true, returnContextLogits: true };
    const alone = await llm.generate(PROMPT, options);
    const several = await llm.generate(PROMPT, { ...options, n: 3 });
    assert.equal(several.contextLogits?.rows, alone.contextLogits?.rows);
    for (const [i, each] of (several.promptLogprobs ?? []).entries()) {
      if (each) assertNear(each.logprob, alone.promptLogprobs?.[i]?.logprob, `the logprob of prompt token ${i}`);
    }
    assert.equal(several.promptLogprobs?.length, alone.promptLogprobs?.length);
  },
);
