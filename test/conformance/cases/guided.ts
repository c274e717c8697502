import assert from 'node:assert/strict';
import type { GenerateOptions, LLM } from 'node-tensorrt-llm';
import { failsAbout } from '../../tools/fails-with.js';
import { checkPerson, PERSON_SCHEMA } from '../../tools/person-schema.js';
import { GREEDY, idle, onlyOutput, PROMPT } from '../requests.js';
import { conformance } from '../suite.js';

type Guided = NonNullable<GenerateOptions['guided']>;

const NEEDS = ['guided', 'a model'] as const;
const SAMPLED = { temperature: 1, topK: 0, topP: 1, maxTokens: 400 } as const;

const generate = (llm: LLM, guided: Guided, options: GenerateOptions = {}) =>
  llm.generate(PROMPT, { ...SAMPLED, seed: 1, guided, ...options });

async function wholeText(llm: LLM, guided: Guided, options: GenerateOptions = {}): Promise<string> {
  const { text, finishReason } = onlyOutput(await generate(llm, guided, options));
  assert.equal(finishReason, 'stop', text);
  return text;
}

const DEEP = {
  $defs: { fine: { type: 'string' } },
  type: 'object',
  properties: { a: { type: 'array', items: { anyOf: [{ $ref: '#/$defs/fine' }, { not: { type: 'string' } }] } } },
};

/** Takes long enough to compile that an abort comes before its end. */
const LARGE = { grammar: `start: ${Array.from({ length: 3000 }, (_, i) => `"${i}"`).join(' | ')}` };

conformance(NEEDS, 'a JSON schema is kept, by its text too', async ({ llm }) => {
  for (const jsonSchema of [PERSON_SCHEMA, JSON.stringify(PERSON_SCHEMA)]) {
    checkPerson(await wholeText(llm, { jsonSchema }));
  }
});

conformance(NEEDS, 'json is a whole JSON value where the output ends by itself', async ({ llm }) => {
  const results = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => generate(llm, { json: true }, { seed })));
  const whole = results.filter(({ finishReason }) => finishReason === 'stop');
  assert.ok(whole.length > 0);
  for (const { text } of whole) JSON.parse(text);
});

conformance(NEEDS, 'a regular expression is matched from start to end', async ({ llm }) => {
  for (const seed of [1, 2, 3]) {
    assert.match(await wholeText(llm, { regex: '(yes|no), [0-9]{3}' }, { seed }), /^(yes|no), [0-9]{3}$/);
  }
});

conformance(NEEDS, 'a grammar is kept, with rules that use themselves', async ({ llm }) => {
  const grammar = 'start: pair\npair: "(" pair ")" | /[a-c]/';
  assert.match(await wholeText(llm, { grammar }), /^(\(*)[a-c](\)*)$/);
});

conformance(
  [...NEEDS, 'logitBias'],
  'a structural tag holds what follows its trigger to the schema',
  async ({ llm }) => {
    const [trigger = 0] = await llm.tokenizer.encode('e', { addSpecialTokens: false });
    const structuralTag = {
      structures: [{ begin: 'e=', schema: { type: 'boolean' }, end: ';' }],
      triggers: ['e'],
    };
    const { text } = await generate(llm, { structuralTag }, { logitBias: { [trigger]: 4 } });
    const tags = text.split('e=').slice(1, -1); // the last may be cut
    assert.ok(tags.length > 0, text);
    for (const tag of tags) assert.match(tag, /^\s*(true|false)\s*;/);
  },
);

conformance(
  [...NEEDS, 'logitBias'],
  'the format begins behind the reasoning where llm.info says so, and else with the first token',
  async ({ llm }) => {
    const [close = 0] = await llm.tokenizer.encode('=', { addSpecialTokens: false });
    const { text, reasoning } = await llm.generate(
      { messages: [{ role: 'user', content: 'A:(x' }] },
      {
        ...SAMPLED,
        guided: { regex: '[ab]{3}' },
        logitBias: { [close]: 100 },
        responseTemplate: { start_anchor: 'A:', fields: { reasoning: { open: '(', close: '=' }, content: {} } },
      },
    );
    if (llm.info.guidedAfterReasoning) assert.match(text, /^[ab]{3}$/);
    else assert.match(reasoning ?? '', /^[ab]{3}$/);
  },
);

conformance(NEEDS, 'each of n outputs keeps to the grammar on its own', async ({ llm }) => {
  const { outputs } = await generate(llm, { regex: '[a-z]{8}' }, { n: 3 });
  for (const { text } of outputs) assert.match(text, /^[a-z]{8}$/);
  assert.equal(new Set(outputs.map(({ text }) => text)).size, 3);
});

conformance(NEEDS, 'a grammar that is wrong fails its request alone, and says where', async ({ llm }) => {
  await wholeText(llm, { regex: 'ab' });
  const wrong: [Guided, RegExp][] = [
    [{ regex: 'a(b' }, /guided\.regex cannot be followed: regex parse error at column 2: unclosed group/],
    [
      { grammar: `start: /${'x'.repeat(2000)}(/` },
      /guided\.grammar cannot be followed: at 1\(8\): .* \.\.\. .*unclosed group/,
    ],
    [{ grammar: 'start: "a"\nb: "c" %' }, /guided\.grammar cannot be followed: 2\(9\)/],
    [{ jsonSchema: '{"type":' }, /guided\.jsonSchema cannot be followed: .* at line 1 column 8/],
    [
      {
        structuralTag: {
          structures: [
            { begin: '<a>', schema: {}, end: '' },
            { begin: '[b]', schema: {}, end: '' },
          ],
          triggers: ['<'],
        },
      },
      /guided\.structuralTag cannot be followed: structures\[1\] begins with no trigger/,
    ],
    [{ jsonSchema: { not: { type: 'string' } } }, /guided\.jsonSchema cannot be followed: .*"not"/],
    [
      { jsonSchema: { $ref: '#' } },
      /guided cannot be followed: no token is allowed; expected a grammar that allows a token/,
    ],
    [
      { jsonSchema: DEEP },
      /guided\.jsonSchema cannot be followed: .*"not"\] at \/properties\/a\/items\/anyOf\/1; expected/,
    ],
    [
      { structuralTag: '{"structures": []}' },
      /^guided\.structuralTag cannot be followed: triggers is null and not a list; expected what llguidance supports\. Change it\.$/,
    ],
    [{ structuralTag: { structures: [], triggers: ['<'] } }, /guided\.structuralTag cannot be followed: .*trigger "<"/],
  ];
  for (const [guided, message] of wrong) {
    const failing = generate(llm, guided);
    const other = wholeText(llm, { regex: '[xy]{6}' });
    await assert.rejects(failing, failsAbout('guided', 'ERR_INVALID_OPTION', message));
    assert.match(await other, /^[xy]{6}$/);
  }
});

conformance(NEEDS, 'without end tokens it is refused by name', async ({ llm }) => {
  await wholeText(llm, { regex: 'ab' });
  const endless = generate(llm, { json: true }, { ignoreEos: true });
  await assert.rejects(endless, failsAbout('guided', 'ERR_INVALID_OPTION', /ignoreEos/));
});

conformance(NEEDS, 'abort() while the grammar is compiled cancels the request', async ({ llm }) => {
  const generation = llm.stream(PROMPT, { ...SAMPLED, guided: LARGE });
  generation.abort();
  assert.equal((await generation.result).finishReason, 'cancelled');
  await idle(llm);
  assert.match(await wholeText(llm, { regex: '[xy]{6}' }), /^[xy]{6}$/);
});

conformance(NEEDS, 'maxTokens cuts an output that is not complete', async ({ llm }) => {
  const { text, finishReason } = onlyOutput(await generate(llm, { regex: '[ab]{9}' }, { maxTokens: 4 }));
  assert.equal(finishReason, 'length');
  assert.match(text, /^[ab]{4}$/);
});

conformance([...NEEDS, 'logitBias'], 'no other option gets around the grammar', async ({ llm }) => {
  const [forbidden = 0] = await llm.tokenizer.encode('c', { addSpecialTokens: false });
  assert.match(await wholeText(llm, { regex: '[ab]{9}' }, { logitBias: { [forbidden]: 100 } }), /^[ab]{9}$/);
});

conformance([...NEEDS, 'batch invariance'], 'requests without guided beside it are not changed', async ({ llm }) => {
  const options = { ...GREEDY, maxTokens: 40 };
  const alone = await llm.generate(PROMPT, options);
  const [beside, guided] = await Promise.all([
    llm.generate(PROMPT, options),
    generate(llm, { regex: '[ab]{30}' }),
    generate(llm, { regex: '[cd]{30}' }),
  ]);
  assert.equal(beside.text, alone.text);
  assert.match(guided.text, /^[ab]{30}$/);
});
