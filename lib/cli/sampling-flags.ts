import type { GenerateOptions, LoadOptions } from '../index.js';
import { type Arguments, type Command, number } from './command.js';

/** The flags that query and chat share. */
export const SAMPLING_FLAGS: Command['options'] = {
  system: { type: 'string' },
  'max-tokens': { type: 'string' },
  temperature: { type: 'string' },
  'top-k': { type: 'string' },
  'top-p': { type: 'string' },
  'min-p': { type: 'string' },
  seed: { type: 'string' },
  stop: { type: 'string', multiple: true },
  threads: { type: 'string' },
  json: { type: 'boolean' },
};

export const SAMPLING_HELP = `  --system TEXT         system message (default: the template's own)
  --max-tokens N        maximum number of new tokens (default: what the context window leaves)
  --temperature X       0 always picks the likeliest token (default: the model's)
  --top-k N, --top-p X, --min-p X   sample from the likeliest tokens only (default: the model's)
  --seed N              the same seed gives the same text (default: random)
  --stop TEXT           end the output before this text; may be repeated
  --threads N           number of CPU threads (default: all cores)
`;

export function generateOptions({ values }: Arguments): GenerateOptions {
  const { stop } = values;
  return {
    maxTokens: number(values, 'max-tokens'),
    temperature: number(values, 'temperature'),
    topK: number(values, 'top-k'),
    topP: number(values, 'top-p'),
    minP: number(values, 'min-p'),
    seed: number(values, 'seed'),
    stop: Array.isArray(stop) ? stop.map(String) : undefined,
  };
}

export function loadOptions({ values }: Arguments): LoadOptions {
  return { threads: number(values, 'threads') };
}
