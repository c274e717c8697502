import type { ChatMessage, GenerateOptions, Input, Result, TokenLogprob } from '../index.js';
import { addUsages, finite, tritonHead } from './answer.js';
import type { Exchange } from './exchange.js';
import { badField, type FailureContext } from './http-error.js';
import { MAX_INPUTS } from './inputs.js';
import type { ServedModel } from './models.js';
import { wordsOf } from './sampling-fields.js';
import { type OutputTensor, readTensors, type TensorRequest, tensorResponse } from './tensors.js';

/** The inputs of NeMo's deployed models, and of their clients. All but prompts are optional and have one value for all prompts. */
export const INFER_INPUTS = {
  prompts: 'BYTES',
  max_length: 'INT64',
  max_output_len: 'INT64',
  max_batch_size: 'INT64',
  min_length: 'INT64',
  top_k: 'INT64',
  top_p: 'FP32',
  temperature: 'FP32',
  random_seed: 'INT64',
  repetition_penalty: 'FP32',
  no_repeat_ngram_size: 'FP32',
  use_greedy: 'BOOL',
  add_BOS: 'BOOL',
  end_strings: 'BYTES',
  stop_words_list: 'BYTES',
  bad_words_list: 'BYTES',
  compute_logprob: 'BOOL',
  n_top_logprobs: 'INT64',
  apply_chat_template: 'BOOL',
  echo: 'BOOL',
  all_probs: 'BOOL',
  output_context_logits: 'BOOL',
  output_generation_logits: 'BOOL',
} as const;
type InputName = keyof typeof INFER_INPUTS;

/** Its outputs. The text has two names: one is that of models exported to TensorRT-LLM. */
export const INFER_OUTPUTS = {
  sentences: 'BYTES',
  outputs: 'BYTES',
  log_probs: 'FP32',
  top_logprobs: 'BYTES',
} as const;

const UNSUPPORTED = ['all_probs', 'output_context_logits', 'output_generation_logits'] as const;

const DEFAULT_MAX_LENGTH = 256; // NeMo's

const CONTEXT: FailureContext = {
  input: 'prompts',
  fields: {
    maxTokens: 'max_length',
    minTokens: 'min_length',
    seed: 'random_seed',
    stop: 'end_strings',
    badWords: 'bad_words_list',
    topLogprobs: 'n_top_logprobs',
    topPromptLogprobs: 'n_top_logprobs',
  },
};

export async function infer(body: Buffer, model: ServedModel, exchange: Exchange): Promise<Response> {
  const request = readTensors(body, exchange.request.headers.get('inference-header-content-length'));
  const values = new Values(request);
  const { llm } = model;
  const prompts = values.prompts();
  const conversations = values.boolean('apply_chat_template') ? prompts.map(conversationOf) : undefined;
  const options = inferOptions(values);
  const inputs: Input[] = conversations?.map((messages) => ({ messages })) ?? prompts;
  const results = await llm.generate(inputs, { ...options, ...exchange.options });
  exchange.usage = addUsages(results.map(({ usage }) => usage));
  const echoOf = (i: number): string => {
    const messages = conversations?.[i];
    return (messages ? llm.tokenizer.applyChatTemplate(messages) : prompts[i]) ?? '';
  };
  const isEcho = values.boolean('echo') === true;
  const texts = results.map(({ text }, i) => (isEcho ? echoOf(i) + text : text));
  const logprobs = results.map(logprobsOf);
  const tensors: OutputTensor[] = [column('sentences', texts), column('outputs', texts)];
  if (options.logprobs) tensors.push(padded('log_probs', logprobs));
  if (options.topLogprobs) tensors.push(column('top_logprobs', logprobs.map(topTexts)));
  const wanted = tensors.filter(({ name }) => request.outputs?.has(name) ?? true);
  return tensorResponse(tritonHead(model, request.id), wanted, request);
}

infer.context = CONTEXT;

/** The inputs of a request by name. */
class Values {
  readonly #request: TensorRequest;

  constructor(request: TensorRequest) {
    this.#request = request;
    for (const name of request.inputs.keys()) {
      if (!Object.hasOwn(INFER_INPUTS, name)) throw unknownTensor(name, 'an input', INFER_INPUTS);
    }
    for (const name of request.outputs ?? []) {
      if (!Object.hasOwn(INFER_OUTPUTS, name)) throw unknownTensor(name, 'an output', INFER_OUTPUTS);
    }
    const unsupported = UNSUPPORTED.find((name) => this.boolean(name));
    if (unsupported) throw badField(unsupported, 'is true, which is not supported. Leave it out.');
  }

  prompts(): string[] {
    const prompts = this.texts('prompts');
    if (!prompts?.length) throw badField('prompts', 'is missing; expected at least one text.');
    if (prompts.length <= MAX_INPUTS) return prompts;
    throw badField('prompts', `has ${prompts.length} texts; expected at most ${MAX_INPUTS}.`);
  }

  texts(name: InputName): string[] | undefined {
    return this.#read(name, (value) => typeof value === 'string', 'a text');
  }

  number(name: InputName): number | undefined {
    return this.#one(
      name,
      this.#read(name, (value) => typeof value === 'number', 'a number'),
    );
  }

  boolean(name: InputName): boolean | undefined {
    return this.#one(
      name,
      this.#read(name, (value) => typeof value === 'boolean', 'true or false'),
    );
  }

  #read<T>(name: InputName, is: (value: unknown) => value is T, expected: string): T[] | undefined {
    const values = this.#request.inputs.get(name);
    return values?.map((value, i) => {
      if (is(value)) return value;
      throw badField(`${name}[${i}]`, `is ${JSON.stringify(value)}; expected ${expected}.`);
    });
  }

  #one<T>(name: InputName, values: readonly T[] | undefined): T | undefined {
    if (!values) return undefined;
    const [first] = values;
    if (first !== undefined && values.every((value) => value === first)) return first;
    throw badField(name, `has ${new Set(values).size} values; expected the same one for all prompts.`);
  }
}

const unknownTensor = (name: string, what: string, known: object) =>
  badField(name, `is not ${what} of this model; expected ${Object.keys(known).join(', ')}.`);

/** Defaults are NeMo's. */
function inferOptions(values: Values): GenerateOptions {
  const topLogprobs = values.number('n_top_logprobs') || undefined;
  const logprobs = values.boolean('compute_logprob') || undefined;
  const isScored = logprobs || topLogprobs !== undefined;
  return {
    maxTokens: values.number('max_length') ?? values.number('max_output_len') ?? DEFAULT_MAX_LENGTH,
    minTokens: values.number('min_length'),
    temperature: values.number('temperature') ?? 1,
    topK: values.boolean('use_greedy') ? 1 : (values.number('top_k') ?? 1),
    topP: values.number('top_p') || 1, // 0 keeps all tokens there
    seed: values.number('random_seed'),
    repetitionPenalty: values.number('repetition_penalty'),
    noRepeatNgramSize: values.number('no_repeat_ngram_size'),
    addSpecialTokens: values.boolean('add_BOS'),
    responseTemplate: false, // there is no output for reasoning
    stop: wordsOf(values.texts('end_strings') ?? values.texts('stop_words_list')),
    badWords: wordsOf(values.texts('bad_words_list')),
    logprobs,
    topLogprobs,
    ...(isScored && values.boolean('echo') && { promptLogprobs: true, topPromptLogprobs: topLogprobs }),
  };
}

function conversationOf(prompt: string, i: number): ChatMessage[] {
  let messages: unknown;
  try {
    messages = JSON.parse(prompt);
  } catch {}
  if (Array.isArray(messages)) return messages as ChatMessage[];
  throw badField(`prompts[${i}]`, 'is not a JSON array; expected messages, because apply_chat_template is true.');
}

const logprobsOf = ({ promptLogprobs = [], outputs }: Result): TokenLogprob[] => [
  ...promptLogprobs.filter((each) => each !== null),
  ...(outputs[0]?.logprobs ?? []),
];

/** Two tokens may have one text: the likelier one counts, so it is set last. */
const topTexts = (logprobs: readonly TokenLogprob[]): string =>
  JSON.stringify(
    logprobs.map(({ top = [] }) =>
      Object.fromEntries(top.toReversed().map(({ text, logprob }) => [text, finite(logprob)])),
    ),
  );

const column = (name: string, data: readonly string[]): OutputTensor => ({ name, shape: [data.length, 1], data });

/** Rows of one length, with zeros after the shorter ones. */
function padded(name: string, rows: readonly (readonly TokenLogprob[])[]): OutputTensor {
  const length = Math.max(1, ...rows.map((row) => row.length));
  const data = new Float32Array(rows.length * length);
  for (const [i, row] of rows.entries()) {
    data.set(
      row.map(({ logprob }) => finite(logprob)),
      i * length,
    );
  }
  return { name, shape: [rows.length, length], data };
}
