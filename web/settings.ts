import { effect, type Signal, signal } from '@preact/signals';

const PREFIX = 'node-tensorrt-llm/';

/** A signal that outlives the page: in all tabs (`local`), or until this one is closed (`session`). */
function kept<T>(
  name: string,
  otherwise: T,
  isValid: (value: unknown) => value is T,
  where: 'local' | 'session',
): Signal<T> {
  const storage = (): Storage => (where === 'local' ? localStorage : sessionStorage);
  let initial = otherwise;
  try {
    const stored: unknown = JSON.parse(storage().getItem(PREFIX + name) ?? 'null');
    if (isValid(stored)) initial = stored;
  } catch {
    // Not readable, or nothing of ours: as if it had never been set.
  }
  const value = signal(initial);
  effect(() => {
    const json = JSON.stringify(value.value);
    try {
      storage().setItem(PREFIX + name, json);
    } catch {
      // Without storage the setting holds until the page is left.
    }
  });
  return value;
}

const isText = (value: unknown): value is string => typeof value === 'string';

export type Theme = 'system' | 'light' | 'dark';
export const THEMES: readonly Theme[] = ['system', 'light', 'dark'];
const isTheme = (value: unknown): value is Theme => THEMES.includes(value as Theme);

export const theme = kept<Theme>('theme', 'system', isTheme, 'local');
export const systemPrompt = kept('system-prompt', '', isText, 'local');
export const apiKey = kept('api-key', '', isText, 'session');
/** The model that was chosen last; the server may not have it any more. */
export const preferredModel = kept('model', '', isText, 'local');

/** Of the chat that is shown; of none for a new one. */
export const currentId = kept('chat', '', isText, 'session');

export interface SamplingField {
  /** As the API has it. */
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

export const SAMPLING_FIELDS: readonly SamplingField[] = [
  { name: 'temperature', label: 'Temperature', hint: '0 always takes the likeliest', min: 0, max: 2, step: 0.1 },
  { name: 'top_p', label: 'Top P', hint: 'Only the likeliest tokens that add up to this', min: 0, max: 1, step: 0.05 },
  { name: 'top_k', label: 'Top K', hint: 'Only so many of the likeliest; 0 for all', min: 0, max: 1000, step: 1 },
  { name: 'min_p', label: 'Min P', hint: 'Only tokens this likely, compared to the best', min: 0, max: 1, step: 0.01 },
  { name: 'repetition_penalty', label: 'Repetition penalty', hint: '1 for none', min: 0.1, max: 2, step: 0.05 },
  { name: 'max_tokens', label: 'Maximum tokens', hint: 'Longest answer', min: 1, max: 1_000_000, step: 1 },
  {
    name: 'seed',
    label: 'Seed',
    hint: 'The same seed gives the same answer',
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
  },
];

/** Fields that are set; the model has defaults for the others. */
export type Sampling = Readonly<Record<string, number>>;
const isSampling = (value: unknown): value is Sampling =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(
    ([name, number]) => typeof number === 'number' && SAMPLING_FIELDS.some((field) => field.name === name),
  );

export const sampling = kept<Sampling>('sampling', {}, isSampling, 'local');
