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
  record,
} from '../base/checks.js';
import type { Tensor } from '../base/types.js';
import { tensor } from './tensor.js';
import { paths } from './token-lists.js';

/** Lookahead decoding, by the names of arXiv:2402.02057. */
export interface Lookahead {
  /** Tokens looked ahead in parallel: W. */
  window: number;
  /** Tokens of an n-gram: N. */
  ngram: number;
  /** n-grams verified in parallel: G. */
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
  /** Paths of the tree of draft tokens, each a list of places among the likeliest tokens. Default: the engine's. */
  choices?: readonly (readonly number[])[] | undefined;
  /** Takes draft tokens that are the likeliest, else those that typical acceptance takes. Default: true. */
  greedy?: boolean | undefined;
  /** Probability that typical acceptance asks for at least: epsilon of arXiv:2401.10774, 0 to 1. Default: the executor's, 0.09. */
  posteriorThreshold?: number | undefined;
  /** Grows the tree by the draft's own probabilities: Eagle-2. Default: false. */
  dynamicTree?: boolean | undefined;
  /** Tokens that such a tree takes at each place. Default: the executor's. */
  dynamicTreeTopK?: number | undefined;
}

export const eagle = group({
  choices: paths,
  greedy: boolean(),
  posteriorThreshold: fraction(),
  dynamicTree: boolean(),
  dynamicTreeTopK: SIZE,
} satisfies Readers<EagleOptions>);

/** Tokens that another model has drafted, which this one checks all at once. */
export interface DraftTokens {
  /** Ids. */
  tokens: ArrayLike<number>;
  /** The draft model's logits, `[tokens, vocabulary]`. Default: none. */
  logits?: Tensor | undefined;
  /** A drafted token is taken if the model gives it this probability, above 0 to 1. Default: the executor's. */
  acceptanceThreshold?: number | undefined;
  /** The logits come from the draft engine of this process directly. Default: false. */
  fastLogits?: boolean | undefined;
}

export const draft = record(
  { tokens: integers(0, MAX_COUNT) },
  { logits: tensor, acceptanceThreshold: positiveFraction(), fastLogits: boolean() },
);

/** What decodes; most of them go with engines that were built for them. */
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

/** How tokens are decoded; what is said here goes with the engine. */
export interface DecodingOptions {
  /** What decodes. Default: `'auto'`, what the engine was built for. */
  mode?: DecodingMode | undefined;
  /** The most that the `lookahead` of a request may ask for. Default: none. */
  lookahead?: Lookahead | undefined;
  /** What holds for requests without an `eagle` of their own. Default: the engine's. */
  eagle?: EagleOptions | undefined;
  /** Paths of Medusa's tree of draft tokens. Default: the engine's. */
  medusaChoices?: readonly (readonly number[])[] | undefined;
  /** Lets a draft engine of this process hand its logits to the target engine directly. Default: false. */
  fastLogits?: boolean | undefined;
}

export const decoding = group({
  mode: enumerator(DECODING_MODES),
  lookahead,
  eagle,
  medusaChoices: paths,
  fastLogits: boolean(),
} satisfies Readers<DecodingOptions>);
