import { basename } from 'node:path';
import { LLM, LLMError } from '../index.js';
import { badField, HttpError } from './http-error.js';

/** What createHandler serves: one LLM, named after its directory, or several by the names that clients use. */
export type Models = LLM | Readonly<Record<string, LLM>>;

/** How long requests took together. */
export interface Duration {
  count: number;
  seconds: number;
}

/** A model and how busy it is. */
export class ServedModel {
  readonly succeeded: Duration = { count: 0, seconds: 0 };
  readonly failed: Duration = { count: 0, seconds: 0 };
  /** When a request succeeded last, in ms since 1970; 0 before the first. */
  lastEnd = 0;
  #meanSeconds = 1;
  #check: Promise<unknown> | undefined;

  constructor(
    readonly name: string,
    readonly llm: LLM,
  ) {}

  /** What is wrong with it; undefined if it computes. Callers at one time share one token. */
  failure(): Promise<unknown> {
    this.#check ??= this.llm.health().then(
      () => undefined,
      (error: unknown) => error,
    );
    return this.#check.finally(() => {
      this.#check = undefined;
    });
  }

  /** Of a request that has ended. */
  ended(seconds: number, isFailed: boolean): void {
    const duration = isFailed ? this.failed : this.succeeded;
    duration.count += 1;
    duration.seconds += seconds;
    if (isFailed) return;
    this.lastEnd = Date.now();
    this.#meanSeconds += (seconds - this.#meanSeconds) / 16;
  }

  /** When a place in the queue should be free, in whole seconds from 1 to 60. */
  retryAfter(): number {
    const { queuedRequests } = this.llm.stats();
    const seconds = (queuedRequests * this.#meanSeconds) / this.llm.info.maxBatchSize;
    return Math.min(60, Math.max(1, Math.ceil(seconds)));
  }
}

export function readModels(models: Models): ReadonlyMap<string, ServedModel> {
  const named = isLLM(models) ? { [basename(models.info.dir)]: models } : models;
  const served = new Map<string, ServedModel>();
  for (const [name, llm] of Object.entries(named)) {
    if (!isLLM(llm)) {
      throw new LLMError(
        'ERR_INVALID_INPUT',
        `The model ${JSON.stringify(name)} is not an LLM; expected one of LLM.load.`,
      );
    }
    served.set(name, new ServedModel(name, llm));
  }
  if (served.size > 0) return served;
  throw new LLMError('ERR_INVALID_INPUT', 'There is no model; expected an LLM, or an object of LLMs by their names.');
}

// One of another installed copy of the package will do.
const isLLM = (value: unknown): value is LLM =>
  value instanceof LLM || (typeof value === 'object' && value !== null && typeof (value as LLM).stream === 'function');

/** @throws {HttpError} 404 if there is none of the name, 400 if there are several and none is named. */
export function chooseModel(models: ReadonlyMap<string, ServedModel>, name: string | undefined): ServedModel {
  const [first] = models.values();
  const names = [...models.keys()].map((each) => JSON.stringify(each)).join(', ');
  if (name === undefined) {
    if (first && models.size === 1) return first;
    throw badField('model', `is missing; expected one of ${names}.`);
  }
  const model = models.get(name);
  if (model) return model;
  const message = `model is ${JSON.stringify(name)}; expected one of ${names}.`;
  throw new HttpError(404, message, { param: 'model', code: 'model_not_found' });
}

/** The name in a segment of a path. */
export function nameInPath(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
