import { check, integer, integers, invalidOption, number, type Readers, type ReadOf, readAs } from '../base/checks.js';

const MAX_BEAMS = 1024;

/** Beam search: a search for the likeliest complete outputs. An output can be read only when it has ended. */
export interface BeamSearchOptions {
  /** Number of beams; above 1 turns on beam search. 1 to 1024, at most `maxBeamWidth`. Default: 1. */
  beamWidth?: number | undefined;
  /** Number of beams at each token in turn, for a search whose width changes. Default: `beamWidth` throughout. */
  beamWidths?: ArrayLike<number> | undefined;
  /** Favors beams that differ from each other; at least 0. Default: 0. */
  beamDiversityRate?: number | undefined;
  /** Divides a beam's score by its length to this power: above 0 favors long outputs. At least 0. Default: 0. */
  lengthPenalty?: number | undefined;
  /**
   * When the search ends: once `beamWidth` outputs have ended (true), once a better one is unlikely (false), or once a
   * better one is impossible (`'never'`). Default: true.
   */
  earlyStopping?: boolean | 'never' | undefined;
}

const isEarlyStopping = (value: unknown): value is boolean | 'never' => typeof value === 'boolean' || value === 'never';

export const beamSearchChecks = {
  beamWidth: integer(1, MAX_BEAMS),
  beamWidths: integers(1, MAX_BEAMS),
  beamDiversityRate: number('at least 0', (value) => value >= 0),
  lengthPenalty: number('at least 0', (value) => value >= 0),
  // The numbers of native/executor/request.h.
  earlyStopping: readAs(check("true, false or 'never'", isEarlyStopping), (value) =>
    value === 'never' ? 2 : Number(value),
  ),
} satisfies Readers<BeamSearchOptions>;

/** The values that have no effect without beams. */
const NEUTRAL = { beamDiversityRate: 0, lengthPenalty: 0, earlyStopping: 1 } as const;

/**
 * The options of a beam search; none if there is one beam.
 * @throws {LLMError} `ERR_INVALID_OPTION` for beam search options without beam search, and for more outputs than beams.
 */
export function readBeams(
  { beamWidth = 1, beamWidths, beamDiversityRate, lengthPenalty, earlyStopping }: ReadOf<typeof beamSearchChecks>,
  { n, bestOf }: { n: number; bestOf: number | undefined },
): ReadOf<typeof beamSearchChecks> {
  const penalties = { beamDiversityRate, lengthPenalty, earlyStopping };
  if (beamWidth === 1) {
    const lost = (Object.keys(NEUTRAL) as (keyof typeof NEUTRAL)[]).find(
      (name) => (penalties[name] ?? NEUTRAL[name]) !== NEUTRAL[name],
    );
    const name = beamWidths ? 'beamWidths' : lost;
    if (name === undefined) return {};
    throw invalidOption(
      name,
      `is set, but beamWidth is 1; expected beamWidth above 1. Raise beamWidth, or remove ${name}.`,
    );
  }
  if (n > beamWidth) {
    throw invalidOption('n', `is ${n}; expected at most beamWidth, ${beamWidth}, because outputs are the best beams.`);
  }
  if (bestOf !== undefined) {
    throw invalidOption(
      'bestOf',
      `is ${bestOf}; expected none with beamWidth, which already returns the likeliest. Remove bestOf.`,
    );
  }
  return { beamWidth, beamWidths, ...penalties };
}
