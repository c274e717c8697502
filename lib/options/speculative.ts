import {
  boolean,
  enumerator,
  fraction,
  group,
  integer,
  integers,
  MAX_COUNT,
  positiveFraction,
  type Readers,
  readAs,
  record,
} from '../base/checks.js';
import { path, pathOf } from '../base/paths.js';
import type { Tensor } from '../base/types.js';
import { tensor } from './tensor.js';
import { paths } from './token-lists.js';

/** Lookahead decoding, with the names of arXiv:2402.02057. */
export interface Lookahead {
  /** Number of tokens looked ahead in parallel: W. */
  window: number;
  /** Size of an n-gram in tokens: N. */
  ngram: number;
  /** Number of n-grams verified in parallel: G. */
  verificationSet: number;
}

const SIZE = integer(1, MAX_COUNT);

export const lookahead = record({
  window: SIZE,
  ngram: SIZE,
  verificationSet: integer(0, MAX_COUNT),
} satisfies Readers<Lookahead>);

/** Eagle decoding. */
export interface EagleOptions {
  /** Paths in the tree of draft tokens; each is a list of positions among the likeliest tokens. Default: the engine's. */
  choices?: readonly (readonly number[])[] | undefined;
  /** Accept a draft token only if it is the likeliest; false uses typical acceptance. Default: true. */
  greedy?: boolean | undefined;
  /** Minimum probability for typical acceptance: epsilon in arXiv:2401.10774, 0 to 1. Default: the executor's, 0.09. */
  posteriorThreshold?: number | undefined;
  /** Build the tree from the draft model's own probabilities (Eagle-2). Default: false. */
  dynamicTree?: boolean | undefined;
  /** Tokens per node of such a tree. Default: the executor's. */
  dynamicTreeTopK?: number | undefined;
}

export const eagle = group({
  choices: paths,
  greedy: boolean(),
  posteriorThreshold: fraction(),
  dynamicTree: boolean(),
  dynamicTreeTopK: SIZE,
} satisfies Readers<EagleOptions>);

/** Tokens that are expected to follow the prompt, from another model or from anywhere. This model verifies them in one step. */
export interface DraftTokens {
  /** Token ids. */
  tokens: ArrayLike<number>;
  /** The draft model's logits, `[tokens, vocabulary]`. Default: none. */
  logits?: Tensor | undefined;
  /** Accept a draft token if the model gives it at least this probability; above 0, at most 1. Default: the executor's. */
  acceptanceThreshold?: number | undefined;
  /** Take the logits directly from the draft engine in this process. Default: false. */
  fastLogits?: boolean | undefined;
}

export const draft = record(
  { tokens: integers(0, MAX_COUNT) },
  { logits: tensor, acceptanceThreshold: positiveFraction(), fastLogits: boolean() },
);

/**
 * Drafts by prompt lookup: where the newest tokens of a sequence came before, in its prompt or its output, the tokens that
 * followed them are drafted.
 */
export interface PromptLookupOptions {
  /** Maximum number of draft tokens for a sequence in a step, 1 to 64. Default: 8. */
  maxDraftTokens?: number | undefined;
  /** Maximum number of newest tokens to look for, 2 to 64; fewer, at least 2, are looked for where so many did not come before. Default: 4. */
  maxMatchingNgram?: number | undefined;
}

const MOST_DRAFT_TOKENS = 64;

/** Without an option it turns prompt lookup on all the same, with the defaults. */
const promptLookup = record({}, {
  maxDraftTokens: integer(1, MOST_DRAFT_TOKENS),
  maxMatchingNgram: integer(2, 64),
} satisfies Readers<PromptLookupOptions>);

/** A smaller model that drafts; it must have the tokens of the model that it drafts for. */
export interface DraftModel {
  /** Path or `file:` URL of its engine directory. */
  engineDir: string | URL;
  /** Maximum number of draft tokens for a sequence in a step, 1 to 64. Default: 4. */
  maxDraftTokens?: number | undefined;
}

const draftModel = record(
  { engineDir: readAs(path(), (dir, name) => pathOf(name, dir)) },
  { maxDraftTokens: integer(1, MOST_DRAFT_TOKENS) },
);

/** A decoding method; most need an engine built for them. */
export type DecodingMode =
  | 'auto'
  | 'top-k'
  | 'top-p'
  | 'top-k-top-p'
  | 'beam-search'
  | 'medusa'
  | 'lookahead'
  | 'explicit-draft-tokens'
  | 'external-draft-tokens'
  | 'eagle';

/** By the numbers of ExecutorDecodingMode in native/executor/config.h. */
const DECODING_MODES: readonly DecodingMode[] = [
  'auto',
  'top-k',
  'top-p',
  'top-k-top-p',
  'beam-search',
  'medusa',
  'lookahead',
  'explicit-draft-tokens',
  'external-draft-tokens',
  'eagle',
];

/** How tokens are decoded. It must match how the engine was built. */
export interface DecodingOptions {
  /** Decoding method. Default: `'auto'`, what the engine was built for. */
  mode?: DecodingMode | undefined;
  /** Upper limit for the `lookahead` of a request. Default: none. */
  lookahead?: Lookahead | undefined;
  /** For requests without an `eagle` of their own. Default: the engine's. */
  eagle?: EagleOptions | undefined;
  /** Paths in Medusa's tree of draft tokens. Default: the engine's. */
  medusaChoices?: readonly (readonly number[])[] | undefined;
  /** Let a draft engine in this process pass its logits directly to the target engine. Default: false. */
  fastLogits?: boolean | undefined;
  /** Draft by prompt lookup, for requests whose `promptLookup` is not false; on the CPU and CUDA executors. Default: none. */
  promptLookup?: PromptLookupOptions | undefined;
  /** Draft with a smaller model, for requests whose `draftModel` is not false; on the CPU and CUDA executors. Default: none. */
  draftModel?: DraftModel | undefined;
}

export const decoding = group({
  mode: enumerator(DECODING_MODES),
  lookahead,
  eagle,
  medusaChoices: paths,
  fastLogits: boolean(),
  promptLookup,
  draftModel,
} satisfies Readers<DecodingOptions>);
