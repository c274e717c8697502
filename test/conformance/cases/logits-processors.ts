import assert from 'node:assert/strict';
import { type GenerateOptions, type LLM, LLMError, type Logits } from 'node-tensorrt-llm';
import { GREEDY, onlyOutput, PROMPT, tokensOf } from '../requests.js';
import { conformance } from '../suite.js';

const OPTIONS = { ...GREEDY, maxTokens: 32 } as const;
const run = async (llm: LLM, options: GenerateOptions = {}): Promise<number[]> =>
  tokensOf(await llm.generate(PROMPT, { ...OPTIONS, ...options }));

/** The model's logits of one output token, after `process`, must be greatest at the token that was taken. */
async function assertTaken(
  llm: LLM,
  options: GenerateOptions,
  process: (logits: Float32Array, prompt: readonly number[], output: readonly number[]) => void,
): Promise<void> {
  const result = await llm.generate(PROMPT, { ...OPTIONS, ...options, returnGenerationLogits: true });
  const prompt = [...(await llm.tokenizer.encode(PROMPT))];
  const { tokens, generationLogits } = onlyOutput(result);
  const { data, columns } = generationLogits as Logits;
  for (const [i, token] of tokens.entries()) {
    const row = data.slice(i * columns, (i + 1) * columns);
    process(row, prompt, [...tokens.subarray(0, i)]);
    const greatest = row.reduce((a, b) => Math.max(a, b));
    assert.ok((row[token] as number) >= greatest - 1e-3, `token ${i}: ${row[token]} of at most ${greatest}`);
  }
  assert.notDeepEqual([...tokens], await run(llm), 'the option changed nothing');
}

conformance(
  ['penalties', 'generationLogits', 'a model'],
  'repetitionPenalty divides positive and multiplies negative logits of all tokens so far, the prompt included',
  async ({ llm }) => {
    await assertTaken(llm, { repetitionPenalty: 1.8 }, (logits, prompt, output) => {
      for (const token of new Set([...prompt, ...output])) {
        const logit = logits[token] as number;
        logits[token] = logit > 0 ? logit / 1.8 : logit * 1.8;
      }
    });
  },
);

conformance(
  ['outputPenalties', 'generationLogits', 'a model'],
  'presencePenalty is taken off once, from tokens of the output alone',
  async ({ llm }) => {
    await assertTaken(llm, { presencePenalty: 6 }, (logits, _, output) => {
      for (const token of new Set(output)) logits[token] = (logits[token] as number) - 6;
    });
  },
);

conformance(
  ['outputPenalties', 'generationLogits', 'a model'],
  'frequencyPenalty is taken off for each time, from tokens of the output alone',
  async ({ llm }) => {
    await assertTaken(llm, { frequencyPenalty: 4 }, (logits, _, output) => {
      for (const token of output) logits[token] = (logits[token] as number) - 4;
    });
  },
);

conformance(
  ['outputPenalties', 'a model'],
  'a presencePenalty far below 0 makes the output repeat itself',
  async ({ llm }) => {
    const tokens = await run(llm, { presencePenalty: -1000 });
    assert.equal(new Set(tokens).size, 1);
  },
);

conformance(
  ['noRepeatNgramSize'],
  'noRepeatNgramSize lets no run of so many tokens come twice, the prompt counted',
  async ({ llm }) => {
    const prompt = [...(await llm.tokenizer.encode(PROMPT))];
    for (const size of [1, 2, 3]) {
      const tokens = [...prompt, ...(await run(llm, { noRepeatNgramSize: size }))];
      const seen = new Set<string>();
      for (let end = size; end <= tokens.length; end++) {
        const gram = tokens.slice(end - size, end).join(' ');
        assert.ok(end <= prompt.length || !seen.has(gram), `${gram} comes twice in ${tokens}`);
        seen.add(gram);
      }
    }
  },
);

conformance(
  ['logitBias', 'a model'],
  'a large logitBias forces a token, and a large negative one forbids it',
  async ({ llm }) => {
    const [first] = (await run(llm)) as [number];
    const other = (first + 1) % llm.info.vocabSize;
    assert.deepEqual(await run(llm, { logitBias: { [other]: 1000 } }), Array(OPTIONS.maxTokens).fill(other));
    assert.ok(!(await run(llm, { logitBias: { [first]: -1000 } })).includes(first));
  },
);

conformance(
  ['logitBias', 'a model'],
  'a token with a logitBias of -Infinity never comes, in an object or a Map',
  async ({ llm }) => {
    const drawn = { temperature: 100, seed: 1 };
    const kept = 97;
    const others = Array.from({ length: llm.info.vocabSize }, (_, token) => token).filter((token) => token !== kept);
    const biases = others.map((token) => [token, Number.NEGATIVE_INFINITY] as const);
    for (const logitBias of [Object.fromEntries(biases), new Map(biases)]) {
      assert.deepEqual(await run(llm, { ...drawn, logitBias }), Array(OPTIONS.maxTokens).fill(kept));
    }
  },
);

conformance(
  ['logitBias', 'generationLogits', 'a model'],
  'logitBias is added to the logits of its tokens, and generationLogits are without it',
  async ({ llm }) => {
    const tokens = (await run(llm)).slice(0, 8);
    const logitBias = Object.fromEntries(tokens.map((token, i) => [token, i % 2 === 0 ? -3 : 2]));
    await assertTaken(llm, { logitBias }, (logits) => {
      for (const [token, bias] of Object.entries(logitBias))
        logits[Number(token)] = (logits[Number(token)] as number) + bias;
    });
  },
);

conformance(
  ['minTokens', 'a model'],
  'minTokens keeps end tokens from coming before so many others',
  async ({ llm, load }) => {
    const [first] = await run(llm);
    const ending = await load({}, { eos_token_id: first });
    const options = { temperature: 0, maxTokens: 20 };
    assert.equal((await ending.generate(PROMPT, options)).usage.completionTokens, 0);
    const held = await ending.generate(PROMPT, { ...options, minTokens: 6 });
    assert.ok(held.usage.completionTokens >= 6);
    assert.ok(!tokensOf(held).includes(first as number));
  },
);

conformance(
  ['minTokens', 'a model'],
  'minTokens holds back each of several end tokens, or is refused by its name',
  async ({ llm, load }) => {
    const [first] = (await run(llm)) as [number];
    const endIds = [(first + 1) % llm.info.vocabSize, first];
    const ending = await load({}, { eos_token_id: endIds });
    try {
      const held = tokensOf(await ending.generate(PROMPT, { temperature: 0, maxTokens: 6, minTokens: 6 }));
      assert.ok(held.length === 6 && !held.some((token) => endIds.includes(token)), held.join());
    } catch (error) {
      if (!LLMError.is(error) || !/^minTokens is set, and the engine has 2 end ids; expected one,/.test(error.message))
        throw error;
      assert.equal(error.code, 'ERR_UNSUPPORTED');
    }
  },
);

conformance(
  ['minTokens', 'a model'],
  'minTokens defaults to min_new_tokens of generation_config.json',
  async ({ llm, load }) => {
    const [first] = await run(llm);
    const ending = await load({}, { eos_token_id: first, min_new_tokens: 5 });
    assert.ok((await ending.generate(PROMPT, { temperature: 0, maxTokens: 20 })).usage.completionTokens >= 5);
    assert.equal((await ending.generate(PROMPT, { temperature: 0, maxTokens: 3 })).usage.completionTokens, 3);
  },
);

conformance(['badTokens'], 'badTokens never come', async ({ llm }) => {
  const whole = await run(llm);
  const badTokens = [whole[0] as number, [whole[5] as number]];
  const tokens = await run(llm, { badTokens });
  assert.ok(!tokens.includes(whole[0] as number) && !tokens.includes(whole[5] as number));
});

conformance(['badTokens'], 'a run of badTokens never comes in a row, and its tokens may', async ({ llm }) => {
  const whole = await run(llm);
  const [a, b] = [whole[3] as number, whole[4] as number];
  const tokens = await run(llm, { badTokens: [[a, b]] });
  assert.deepEqual(tokens.slice(0, 4), whole.slice(0, 4));
  assert.ok(!tokens.some((token, i) => token === a && tokens[i + 1] === b));
});

conformance(
  ['badTokens', 'a model'],
  'badWords never come as their own tokens, with or without a space before',
  async ({ llm }) => {
    const whole = await run(llm);
    const own = whole.slice(4).find((token) => !/^[ \ufffd]|^$/.test(llm.tokenizer.tokenText(token))) as number;
    const word = llm.tokenizer.tokenText(own);
    assert.deepEqual([...(await llm.tokenizer.encode(word, { addSpecialTokens: false }))], [own]);
    for (const badWords of [word, ['\u0000', word]]) {
      assert.ok(!(await run(llm, { badWords })).includes(own));
    }
  },
);
