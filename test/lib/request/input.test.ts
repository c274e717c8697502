import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Input, LLM } from 'node-tensorrt-llm';
import { tinyEngine } from '../../tools/engines.js';

const withHole = (first: unknown, last: unknown): unknown[] => Object.assign(new Array(3), { 0: first, 2: last });

// Not in the types of the oldest ECMAScript that this package runs on, but in each Node.js that it runs on.
const resizableBuffer = (bytes: number): ArrayBuffer & { resize(bytes: number): void } =>
  Reflect.construct(ArrayBuffer, [bytes, { maxByteLength: 16 }]);

describe('an input that is hostile', () => {
  let llm: LLM;
  before(async () => {
    llm = await LLM.load(await tinyEngine(), { executor: 'cpu', maxSeqLen: 64 });
  });
  after(() => llm.close());

  const generate = (input: unknown) => llm.generate(input as Input, { maxTokens: 1 });
  const failsWith = (input: unknown, code: string) => assert.rejects(generate(input), { code });

  test('is too long before its tokens are read', async () => {
    await failsWith({ tokens: new Array(4_294_967_295) }, 'ERR_PROMPT_TOO_LONG');
    await failsWith({ tokens: { length: 65 } }, 'ERR_PROMPT_TOO_LONG');
    await failsWith({ tokens: new Uint8Array(65) }, 'ERR_PROMPT_TOO_LONG');
    await failsWith({ tokens: new Uint8Array(64) }, 'ERR_PROMPT_TOO_LONG'); // the executor's: one new token must fit
    assert.equal((await generate({ tokens: new Uint8Array(63).fill(3) })).usage.promptTokens, 63);
  });

  test('is too long before its text is encoded, and while it is', async () => {
    for (const [text, found] of [
      ['x'.repeat(1e7), /at least 10000000 bytes; .*maxSeqLen is 64, and one new token must fit/],
      ['x'.repeat(64), /at least 64 tokens; expected at most 63 \(maxSeqLen is 64/],
    ] as const) {
      await assert.rejects(generate(text), { code: 'ERR_PROMPT_TOO_LONG', message: found });
    }
    await assert.rejects(llm.generate('x', { badWords: ['x'.repeat(100)] }), { code: 'ERR_PROMPT_TOO_LONG' });
  });

  test('has a length that no array has', async () => {
    for (const length of [2 ** 53 - 1, 2 ** 32, -1, 0.5, Number.NaN, '3', {}, undefined]) {
      await failsWith({ tokens: { length, 0: 1 } }, 'ERR_INVALID_INPUT');
    }
  });

  test('has lost its memory', async () => {
    const detached = Int32Array.of(1, 2);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    await failsWith({ tokens: detached }, 'ERR_INVALID_INPUT');
    const resizable = resizableBuffer(8);
    const outOfBounds = new Int32Array(resizable, 4, 1);
    resizable.resize(4);
    await failsWith({ tokens: outOfBounds }, 'ERR_INVALID_INPUT');
    await failsWith({ tokens: Object.create(Int32Array.prototype) }, 'ERR_INVALID_INPUT');
  });

  test('may lie in shared or resizable memory', async () => {
    for (const memory of [new SharedArrayBuffer(8), resizableBuffer(8)]) {
      const tokens = new Int32Array(memory).fill(3);
      assert.equal((await generate({ tokens })).usage.promptTokens, 2);
    }
  });

  test('has a hole where Object.prototype has a token, or an iterator that never ends', async () => {
    Object.assign(Object.prototype, { 1: 3, tokens: [3] });
    try {
      await failsWith({ tokens: withHole(3, 3) }, 'ERR_INVALID_INPUT');
      await failsWith({}, 'ERR_INVALID_INPUT');
    } finally {
      for (const name of ['1', 'tokens']) Reflect.deleteProperty(Object.prototype, name);
    }
    const endless = Object.assign([3, 3], {
      *[Symbol.iterator]() {
        for (;;) yield 3;
      },
    });
    assert.equal((await generate({ tokens: endless })).usage.promptTokens, 2);
  });

  test('throws when it is read', async () => {
    const revoked = Proxy.revocable([], {});
    revoked.revoke();
    const thrower = (name: string) =>
      Object.defineProperty({}, name, { enumerable: true, get: () => assert.fail('no') });
    for (const input of [
      thrower('tokens'),
      thrower('messages'),
      { tokens: thrower('length') },
      { tokens: Object.defineProperty([3], 0, { get: () => assert.fail('no') }) },
      { tokens: revoked.proxy },
      { messages: revoked.proxy },
      { messages: [thrower('role')] },
      revoked.proxy,
    ]) {
      await failsWith(input, 'ERR_INVALID_INPUT');
    }
  });

  test('is a list of inputs that is mostly holes', async () => {
    await failsWith(new Array(4_294_967_295), 'ERR_INVALID_INPUT');
    await failsWith(withHole({ tokens: [3] }, 'text'), 'ERR_INVALID_INPUT');
  });
});
