import assert from 'node:assert/strict';
import { LLMError, type Result } from 'node-tensorrt-llm';
import type { Case } from './cases.js';
import type { Outcome } from './outcomes.js';
import type { Fault } from './plan.js';
import type { Setting } from './settings.js';

/** What decides how a request may end. */
export interface Expected {
  readonly known: Case;
  readonly fault: Fault;
  /** What its signal aborts with. */
  readonly reason: object;
  readonly setting: Setting;
  /** Whether close() was called on its LLM: it may then fail with ERR_CLOSED. */
  readonly isClosing: () => boolean;
}

/** Whether outputs are made that the result leaves out: a request that ends early chooses among other ones than the answer did. */
const chooses = ({ options }: Case): boolean => (options.bestOf ?? 1) > (options.n ?? 1);

/** A character of which the last token had not all bytes. */
const UNFINISHED = /\uFFFD+$/;

/** Throws unless the result is the answer, or its beginning where the request was told to end early. */
export function checkResult({ text, outputs, finishReason, usage }: Result, expected: Expected): Outcome {
  const { known, fault } = expected;
  const { answer } = known;
  assert.ok(!('call' in fault), 'a result of an invalid call');
  assert.equal(outputs.length, answer.outputs.length, 'outputs');
  assert.deepEqual({ text, finishReason }, { text: outputs[0]?.text, finishReason: outputs[0]?.finishReason });
  if ('at' in fault && typeof fault.at === 'string') {
    assert.notEqual(fault.kind, 'signal', 'a result, though the signal had aborted');
    assert.deepEqual([finishReason, usage.completionTokens], ['cancelled', 0]);
  }
  if (chooses(known) && fault.kind !== 'none') return finishReason;
  let endedEarly = false;
  for (const [index, { text, tokens, finishReason, stopReason, logprobs }] of outputs.entries()) {
    const whole = answer.outputs[index];
    assert.ok(whole);
    if (finishReason === 'stop' || finishReason === 'length') {
      assert.deepEqual({ text, tokens, finishReason, stopReason }, whole, `output ${index}`);
      assert.equal(logprobs?.length, known.options.topLogprobs === undefined ? undefined : tokens.length, 'logprobs');
    } else {
      endedEarly = true;
      assert.equal(finishReason, fault.kind === 'timeout' ? 'timeout' : MAY_CANCEL[fault.kind], `output ${index}`);
      mustBegin({ text: text.replace(UNFINISHED, ''), tokens }, whole);
    }
  }
  if (!endedEarly) {
    const { promptTokens, completionTokens } = answer;
    assert.deepEqual([usage.promptTokens, usage.completionTokens], [promptTokens, completionTokens], 'usage');
  }
  return finishReason;
}

const MAY_CANCEL: Readonly<Partial<Record<Fault['kind'], 'cancelled'>>> = {
  abort: 'cancelled',
  dispose: 'cancelled',
  leave: 'cancelled',
};

/** Throws unless the request may fail so. */
export function checkError(error: unknown, expected: Expected): Outcome {
  const { known, fault, reason, setting, isClosing } = expected;
  if (error === reason) {
    assert.equal(fault.kind, 'signal');
    return 'aborted';
  }
  assert.ok(LLMError.is(error), `expected an LLMError, got ${error}`);
  const mayFail =
    error.code === setting.mayFailWith ||
    (error.code === 'ERR_QUEUE_TIMEOUT' && fault.kind === 'queue timeout') ||
    (error.code === 'ERR_CLOSED' && isClosing()) ||
    ('call' in fault && error.code === fault.call?.code);
  assert.ok(mayFail, `unexpected ${error.code}: ${error.message}`);
  if (!error.partial || chooses(known)) return error.code;
  for (const [index, output] of error.partial.outputs.entries()) mustBegin(output, known.answer.outputs[index]);
  return error.code;
}

type Text = Pick<Result['outputs'][number], 'text' | 'tokens'>;

function mustBegin({ text, tokens }: Text, whole: Text | undefined): void {
  assert.ok(whole);
  assert.ok(whole.text.startsWith(text), `"${text}" is no beginning of "${whole.text}"`);
  assert.deepEqual(tokens, whole.tokens.slice(0, tokens.length));
}
