import * as v from 'valibot';
import { answerHead, finite, usageOf } from './answer.js';
import { type Fields, list, type Refused, readFields } from './body.js';
import type { Exchange } from './exchange.js';
import type { FailureContext } from './http-error.js';
import { severalOf, textOrTokens } from './inputs.js';
import { refuseAdapter, type ServedModel } from './models.js';

const input = v.custom<unknown>((value) => typeof value === 'string' || Array.isArray(value));
const scoreSchema = v.strictObject({
  model: v.optional(v.string()),
  prompt: input,
  continuations: list(input),
  add_special_tokens: v.optional(v.boolean()),
  cache_salt: v.optional(v.string()),
  user: v.optional(v.unknown()),
});

const NO_CROSS_ENCODER = 'Cross-encoders are not served: send prompt and continuations.';
const REFUSED: Refused = { text_1: NO_CROSS_ENCODER, text_2: NO_CROSS_ENCODER, queries: NO_CROSS_ENCODER };

/** How likely each continuation is after the prompt: llm.score over HTTP. */
export async function score(body: Fields, model: ServedModel, exchange: Exchange): Promise<Response> {
  refuseAdapter(model);
  const fields = readFields(body, scoreSchema, REFUSED);
  const continuations = severalOf(fields.continuations, 'continuations');
  const { scores, usage } = await model.llm.score(
    textOrTokens(fields.prompt, 'prompt'),
    continuations.map((each, i) => textOrTokens(each, `continuations[${i}]`)),
    {
      addSpecialTokens: fields.add_special_tokens,
      cacheSalt: fields.cache_salt,
      queueTimeoutMs: exchange.options.queueTimeoutMs,
      signal: exchange.signal,
    },
  );
  exchange.usage = usage;
  return Response.json({
    ...answerHead('score', 'list', model),
    data: scores.map(({ logprob, tokens, isGreedy }, index) => ({
      object: 'score',
      index,
      score: finite(logprob),
      is_greedy: isGreedy,
      tokens: tokens.map(({ text }) => text),
      token_logprobs: tokens.map((token) => finite(token.logprob)),
    })),
    usage: usageOf(usage),
  });
}

score.context = { input: 'prompt' } satisfies FailureContext;
