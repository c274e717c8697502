import type { ResponseTemplate } from '../../base/response-template.js';
import { Regions } from './regions.js';
import type { ResponseSettings } from './response-parser.js';
import type { Region } from './template.js';

/** Where an answer's reasoning is, in the texts of its marks. */
export interface ReasoningMarks {
  /** One of these begins it, right at the start of the answer; none if the prompt has begun it. */
  readonly begins: readonly string[];
  /** The first of these ends it. */
  readonly ends: readonly string[];
}

/** Undefined where the reasoning is over, or its marks are not texts. */
export function reasoningMarks({ template, start, tools }: ResponseSettings): ReasoningMarks | undefined {
  const open = regionAt({ template, start, tools });
  const all = template.regions.filter(({ channel }) => channel === 'reasoning');
  const isIn = open !== undefined && all.includes(open);
  if (!isIn && start.trim() !== '') return undefined; // the answer has begun, or the reasoning is over
  const regions = isIn ? [open] : all;
  const texts = (mark: 'open' | 'close') =>
    regions.flatMap(({ name }) => (template.template as ResponseTemplate).fields[name]?.[mark] ?? []);
  const ends = texts('close');
  return ends.length === 0 ? undefined : { begins: isIn ? [] : texts('open'), ends };
}

/** The marked region that the prompt has begun and not ended. */
function regionAt({ template, start, tools }: ResponseSettings): Region | undefined {
  let open: Region | undefined;
  const regions = new Regions(template, tools !== undefined, {
    open: (region) => {
      open = region;
    },
    text: (_region, text) => text.length,
    close: () => {
      open = undefined;
    },
    anchor: () => {},
  });
  regions.skip(start);
  return open;
}
