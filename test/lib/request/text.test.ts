import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { LLM } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from '../../tools/engines.js';

/** Ids as the scripted executor answers them to a prompt that ends in the id of "a": t, u and v. */
const PROMPT = 'a'.charCodeAt(0);
const [T, U] = ['t', 'u'].map((letter) => letter.charCodeAt(0)) as [number, number];

/** Runs with a tokenizer as SentencePiece has it, in which t begins a word, and u may be a special token. */
async function withTokenizer(special: readonly number[], run: (llm: LLM) => Promise<void>): Promise<void> {
  const dir = await scriptedEngine({});
  const file = join(dir, 'tokenizer.json');
  const json = JSON.parse(await readFile(file, 'utf8'));
  const { t, ...rest } = json.model.vocab;
  json.model.vocab = { ...rest, '▁t': t };
  json.model.merges = [];
  json.added_tokens = special.map((id) => ({ id, content: String.fromCharCode(id), special: true }));
  json.decoder = {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  };
  await writeFile(file, JSON.stringify(json));
  const llm = await LLM.load(dir, { executor: { library: SCRIPTED_LIBRARY } });
  try {
    await run(llm);
  } finally {
    await llm.close();
  }
}

test('an output keeps the space that it starts with where the prompt has text, and stop strings see it', async () => {
  await withTokenizer([], async (llm) => {
    assert.deepEqual((await llm.generate({ tokens: [PROMPT] }, { maxTokens: 3 })).text, ' tuv');
    const { text, finishReason } = await llm.generate({ tokens: [PROMPT] }, { maxTokens: 3, stop: ' t' });
    assert.deepEqual([text, finishReason], ['', 'stop']);
    assert.equal(llm.tokenizer.decode([T, U]), 'tu');
  });
});

test('an output loses the space that SentencePiece puts before a text where the prompt has none', async () => {
  await withTokenizer([PROMPT], async (llm) => {
    assert.deepEqual((await llm.generate({ tokens: [PROMPT] }, { maxTokens: 3 })).text, 'tuv');
    const { text } = await llm.generate({ tokens: [PROMPT] }, { maxTokens: 3, skipSpecialTokens: false });
    assert.equal(text, ' tuv');
  });
});

test('a stop string that is a special token ends the output, whether special tokens are in the text or not', async () => {
  await withTokenizer([U], async (llm) => {
    for (const skipSpecialTokens of [true, false]) {
      const result = await llm.generate({ tokens: [PROMPT] }, { maxTokens: 4, stop: 'u', skipSpecialTokens });
      assert.deepEqual([result.text, result.finishReason, result.stopReason], [' t', 'stop', 'u']);
    }
  });
});
