import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ChatMessage, LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';
import { failsWith } from '../../tools/fails-with.js';

const conversation = (answer: string): ChatMessage[] => [
  { role: 'user', content: 'How many r in strawberry?' },
  { role: 'assistant', content: answer },
];

describe('llm.reward', () => {
  let llm: LLM;
  before(async () => {
    llm = await LLM.load(await tinyEngine(), { executor: 'cpu', threads: 1 });
  });
  after(() => llm.close());

  /** The last row of the prompt's logits. */
  async function plainReward(messages: ChatMessage[], token: number): Promise<number | undefined> {
    const text = llm.tokenizer.applyChatTemplate(messages, { addGenerationPrompt: false });
    const tokens = await llm.tokenizer.encode(text, { addSpecialTokens: false });
    const { contextLogits } = await llm.generate({ tokens }, { maxTokens: 1, returnContextLogits: true });
    return contextLogits?.data.at(-contextLogits.columns + token);
  }

  test('is the logit of token 0, or of another, after the conversation', async () => {
    const messages = conversation('Three.');
    assert.equal(await llm.reward(messages), await plainReward(messages, 0));
    assert.equal(await llm.reward(messages, { token: 7 }), await plainReward(messages, 7));
  });

  test('rates several conversations in their order', async () => {
    const conversations = ['Three.', 'Two.', 'I do not know.'].map(conversation);
    const rewards = await llm.reward(conversations);
    assert.deepEqual(rewards, await Promise.all(conversations.map((each) => plainReward(each, 0))));
    assert.equal(new Set(rewards).size, 3);
  });

  test('refuses what does not end in an answer, and options that are wrong', async () => {
    const question: ChatMessage[] = [{ role: 'user', content: 'hi' }];
    await assert.rejects(llm.reward(question), failsWith('ERR_INVALID_INPUT', /role "user"; expected "assistant"/));
    await assert.rejects(llm.reward([conversation('a'), question]), failsWith('ERR_INVALID_INPUT', /"user"/));
    await assert.rejects(llm.reward('hi' as never), failsWith('ERR_INVALID_INPUT'));
    await assert.rejects(llm.reward(conversation('a'), { token: -1 }), failsWith('ERR_INVALID_OPTION', /token/));
    await assert.rejects(
      llm.reward(conversation('a'), { tokens: 1 } as never),
      failsWith('ERR_INVALID_OPTION', /tokens/),
    );
  });

  test('an abort throws its reason', async () => {
    const reason = new Error('enough');
    await assert.rejects(llm.reward(conversation('a'), { signal: AbortSignal.abort(reason) }), reason);
  });
});
