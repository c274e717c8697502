import { check, integer, integers, number, type Readers, type ReadOf, readAs } from '../base/checks.js';
import { LLMError } from '../base/errors.js';

const MAX_BEAMS = 1024;

/** A search for the likeliest outputs as wholes. Nothing of an output can be read before it has ended. */
export interface BeamSearchOptions {
  /** Outputs that are followed at once; above 1 searches for the likeliest. 1 to 1024, at most `maxBeamWidth`. Default: 1. */
  beamWidth?: number | undefined;
  /** Beams at each token, in order: a search whose width changes. Default: `beamWidth` at all. */
  beamWidths?: ArrayLike<number> | undefined;
  /** Favours beams that differ; at least 0. Default: 0. */
  beamDiversityRate?: number | undefined;
  /** The score of a beam is divided by its length to this power: above 0 favours long outputs. At least 0. Default: 0. */
  lengthPenalty?: number | undefined;
  /**
   * When the search ends: as soon as `beamWidth` outputs have ended (true), when a better one is not likely (false), or when
   * none can be better (`'never'`). Default: true.
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

/** What does nothing without beams. */
const NEUTRAL = { beamDiversityRate: 0, lengthPenalty: 0, earlyStopping: 1 } as const;

/**
 * The options of a beam search; none where there is one beam.
 * @throws {LLMError} `ERR_INVALID_OPTION` for what is of a beam search where there is none, and for more outputs than beams.
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
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `${name} is set and beamWidth is 1; expected beamWidth above 1, or no ${name}.`,
    );
  }
  if (n > beamWidth) {
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `n is ${n}; expected at most beamWidth, ${beamWidth}: outputs are the best beams.`,
    );
  }
  if (bestOf !== undefined) {
    throw new LLMError(
      'ERR_INVALID_OPTION',
      `bestOf is ${bestOf}; expected none with beamWidth, which gives the likeliest.`,
    );
  }
  return { beamWidth, beamWidths, ...penalties };
}
