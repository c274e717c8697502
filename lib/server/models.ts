import { basename } from 'node:path';
import { LLM, LLMError, type Lora } from '../index.js';
import { badField, HttpError } from './http-error.js';

/** What createHandler serves: one LLM, named after its directory, or several by the names that clients use. */
export type Models = LLM | Readonly<Record<string, LLM>>;

/** A LoRA adapter that clients name as they name a model. */
export interface ServedAdapter {
  /** As `llm.readAdapter` gives it. */
  lora: Lora;
  /** Name of the model that it is for. Default: the only one. */
  model?: string | undefined;
}

/** How long requests took together. */
export interface Duration {
  count: number;
  seconds: number;
}

/** A model, or one with an adapter, and how busy it is. */
export class ServedModel {
  readonly succeeded: Duration = { count: 0, seconds: 0 };
  readonly failed: Duration = { count: 0, seconds: 0 };
  /** When a request succeeded last, in ms since 1970; 0 before the first. */
  lastEnd = 0;
  #meanSeconds = 1;
  #check: Promise<unknown> | undefined;
  #hasAdapter = false;

  constructor(
    readonly name: string,
    readonly llm: LLM,
    readonly adapter?: { readonly lora: Lora; readonly parent: string },
  ) {}

  /** What a request brings: the weights are sent until the executor has them. */
  get lora(): Lora | undefined {
    return this.#hasAdapter && this.adapter ? { id: this.adapter.lora.id } : this.adapter?.lora;
  }

  /** The executor does not have the adapter: others took its place, or it was loaded again. */
  lostAdapter(): void {
    this.#hasAdapter = false;
  }

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
    this.#hasAdapter = true;
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

/** @throws {LLMError} `ERR_INVALID_INPUT`, `ERR_INVALID_OPTION` for an adapter without its model. */
export function readModels(
  models: Models,
  adapters: Readonly<Record<string, ServedAdapter>> = {},
): ReadonlyMap<string, ServedModel> {
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
  if (served.size === 0)
    throw new LLMError('ERR_INVALID_INPUT', 'There is no model; expected an LLM, or an object of LLMs by their names.');
  for (const [name, adapter] of Object.entries(adapters)) served.set(name, withAdapter(served, name, adapter));
  return served;
}

function withAdapter(
  served: ReadonlyMap<string, ServedModel>,
  name: string,
  { lora, model }: ServedAdapter,
): ServedModel {
  const refuse = (found: string): never => {
    throw new LLMError('ERR_INVALID_OPTION', `adapters.${name} ${found}`, { option: 'adapters' });
  };
  const parent = model === undefined ? onlyModel(served) : served.get(model);
  if (served.has(name)) return refuse('has the name of a model; expected another one. Rename it.');
  if (!parent || parent.adapter) {
    const found = model === undefined ? 'names no model' : `is for the model ${JSON.stringify(model)}`;
    return refuse(`${found}; expected model to be ${namesOf(served)}. Set it.`);
  }
  if (!parent.llm.capabilities.lora) {
    return refuse(
      'is for a model that takes none; expected llm.capabilities.lora. Load its engine with peftCache: {}.',
    );
  }
  return new ServedModel(name, parent.llm, { lora, parent: parent.name });
}

const onlyModel = (models: ReadonlyMap<string, ServedModel>): ServedModel | undefined => {
  const [first, ...others] = [...models.values()].filter(({ adapter }) => !adapter);
  return others.length === 0 ? first : undefined;
};

const namesOf = (models: ReadonlyMap<string, ServedModel>): string =>
  `one of ${[...models.keys()].map((each) => JSON.stringify(each)).join(', ')}`;

// One of another installed copy of the package will do.
const isLLM = (value: unknown): value is LLM =>
  value instanceof LLM || (typeof value === 'object' && value !== null && typeof (value as LLM).stream === 'function');

/** @throws {HttpError} 404 if there is none of the name, 400 if there are several and none is named. */
export function chooseModel(models: ReadonlyMap<string, ServedModel>, name: string | undefined): ServedModel {
  if (name === undefined) {
    const only = onlyModel(models);
    if (only) return only;
    throw badField('model', `is missing; expected ${namesOf(models)}.`);
  }
  const model = models.get(name);
  if (model) return model;
  const message = `model is ${JSON.stringify(name)}; expected ${namesOf(models)}.`;
  throw new HttpError(404, message, { param: 'model', code: 'model_not_found' });
}

/** @throws {HttpError} 400 for an adapter, where only models count. */
export function refuseAdapter({ name, adapter }: ServedModel): void {
  if (!adapter) return;
  const message = `is ${JSON.stringify(name)}, an adapter, which this route does not use; expected ${JSON.stringify(adapter.parent)}.`;
  throw badField('model', message, 'unsupported_parameter');
}

/** The name in a segment of a path. */
export function nameInPath(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
