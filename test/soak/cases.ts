import { join } from 'node:path';
import {
  type Capabilities,
  type GenerateOptions,
  type Input,
  LLM,
  type Lora,
  type Output,
  type Result,
} from 'node-tensorrt-llm';
import { temporaryDirectory } from '../tools/engines.js';
import { tinyAdapterTensors, writeAdapter } from '../tools/tiny-adapter.js';
import { checkGuided, drawGuided } from './guided.js';
import { Random } from './random.js';
import { soakEngine } from './settings.js';

/** A request whose answer is known. Plain data, so that workers get it too. */
export interface Case {
  input: Input;
  options: GenerateOptions;
  answer: Answer;
}

export interface Answer {
  outputs: (Pick<Output, 'text' | 'tokens' | 'finishReason'> & { stopReason: Output['stopReason'] | undefined })[];
  promptTokens: number;
  completionTokens: number;
}

export type Cases = Readonly<Record<'cpu' | 'scripted', readonly Case[]>>;

const CASES_PER_EXECUTOR = 256;

/** The CPU executor's answer is what it gives to the request alone; the scripted executor's is known without it. */
export async function makeCases(seed: number): Promise<Cases> {
  const llm = await LLM.load(await soakEngine(), { threads: 1, executor: 'cpu', peftCache: {} });
  const adapters: Lora[] = [];
  for (const each of [1, 2, 3]) {
    const dir = join(await temporaryDirectory(), 'adapter');
    adapters.push(await llm.readAdapter(await writeAdapter(dir, await tinyAdapterTensors(llm.info.dir, each))));
  }
  const cpu: Case[] = [];
  const scripted: Case[] = [];
  for (let i = 0; i < CASES_PER_EXECUTOR; i++) {
    const question = drawQuestion(new Random(seed, 1, i), llm.capabilities, adapters);
    const answer = answerOf(await llm.generate(question.input, question.options));
    const { guided } = question.options;
    for (const { text, finishReason } of answer.outputs)
      if (guided && finishReason === 'stop') checkGuided(guided, text);
    cpu.push({ ...question, answer });
    const plain = drawQuestion(new Random(seed, 2, i), undefined, []);
    scripted.push({ ...plain, answer: scriptedAnswer(await tokensOf(llm, plain.input), plain.options) });
  }
  await llm.close();
  return { cpu, scripted };
}

type Draw = (random: Random) => GenerateOptions;

/** What a request may ask for, each with what the executor needs for it. A drawing request has a seed, so it draws the same. */
const FEATURES: readonly [needs: keyof Capabilities | undefined, draw: Draw][] = [
  [undefined, (random) => ({ stop: [random.pick(['e', 'qr', 'A']), 'xyz'] })],
  [undefined, (random) => ({ topK: random.integer(1, 40), temperature: 1 })],
  [undefined, (random) => ({ topP: 0.3 + random.fraction() * 0.7, temperature: 0.8 })],
  [undefined, () => ({ ignoreEos: false })],
  [undefined, () => ({ skipSpecialTokens: false })],
  ['minP', () => ({ minP: 0.05, temperature: 1.2 })],
  ['topLogprobs', (random) => ({ topLogprobs: random.integer(1, 4) })],
  ['promptLogprobs', () => ({ promptLogprobs: true })],
  ['contextLogits', () => ({ returnContextLogits: true })],
  ['generationLogits', () => ({ returnGenerationLogits: true })],
  ['penalties', () => ({ repetitionPenalty: 1.2, frequencyPenalty: 0.3, presencePenalty: 0.1 })],
  ['noRepeatNgramSize', () => ({ noRepeatNgramSize: 2 })],
  ['logitBias', (random) => ({ logitBias: { [random.integer(97, 122)]: 4 } })],
  ['minTokens', () => ({ minTokens: 1, ignoreEos: false })],
  ['stopTokens', (random) => ({ stopTokens: [random.integer(0, 255), [101, 32]] })],
  ['badTokens', () => ({ badTokens: [101], badWords: 'the' })],
  ['severalSequences', (random) => ({ n: random.integer(2, 3), temperature: 1, maxTokens: random.integer(1, 16) })],
  ['severalSequences', () => ({ n: 2, bestOf: 3, temperature: 1, maxTokens: 12 })],
];

/** What a request asks for alone. */
const ALONE: readonly [needs: keyof Capabilities, draw: Draw][] = [
  ['beamSearch', (random) => ({ beamWidth: 3, n: random.integer(1, 3), maxTokens: random.integer(1, 16) })],
  ['guided', drawGuided],
  ['draft', (random) => ({ draft: { tokens: Array.from({ length: 5 }, () => random.integer(97, 122)) } })],
];

function drawQuestion(
  random: Random,
  capabilities: Capabilities | undefined,
  adapters: readonly Lora[],
): Omit<Case, 'answer'> {
  const options: GenerateOptions = {
    maxTokens: random.chance(0.85) ? random.integer(1, 24) : random.integer(100, 300),
    temperature: random.pick([0, 0.7]),
    seed: random.integer(0, Number.MAX_SAFE_INTEGER),
    ignoreEos: true,
  };
  const lora = adapters[random.integer(0, 4 * adapters.length)];
  if (lora) options.lora = lora;
  for (const [needs, draw] of ALONE) {
    if (!random.chance(0.08) || !capabilities?.[needs]) continue;
    const { maxTokens, ignoreEos, seed, temperature, lora } = options;
    return { input: drawInput(random), options: { maxTokens, ignoreEos, seed, temperature, lora, ...draw(random) } };
  }
  for (const [needs, draw] of FEATURES) {
    if (!random.chance(0.1)) continue;
    if (needs === undefined || capabilities?.[needs]) Object.assign(options, draw(random));
  }
  return { input: drawInput(random), options };
}

function drawInput(random: Random): Input {
  const text = 'a word and '.repeat(random.integer(0, 7)) + random.integer(0, 999);
  if (random.chance(0.1)) return { messages: [{ role: 'user', content: text.slice(-30) }] };
  return random.chance(0.3) ? text : { tokens: [...Buffer.from(text)] };
}

async function tokensOf(llm: LLM, input: Input): Promise<ArrayLike<number>> {
  if (typeof input === 'string') return llm.tokenizer.encode(input);
  if ('tokens' in input) return input.tokens;
  return llm.tokenizer.encode(llm.tokenizer.applyChatTemplate(input.messages));
}

function answerOf({ outputs, usage: { promptTokens, completionTokens } }: Result): Answer {
  return {
    outputs: outputs.map(({ text, tokens, finishReason, stopReason }) => ({ text, tokens, finishReason, stopReason })),
    promptTokens,
    completionTokens,
  };
}

/** As test/scripted-executor says it: token j is the letter 'a' + (last prompt token + j) % 26. */
function scriptedAnswer(prompt: ArrayLike<number>, { maxTokens = 0, stop = [] }: GenerateOptions): Answer {
  const first = prompt[prompt.length - 1] ?? 0;
  const whole = String.fromCharCode(...Array.from({ length: maxTokens }, (_, j) => 97 + ((first + j) % 26)));
  const matches = [stop].flat().flatMap((word) => (whole.includes(word) ? [{ word, at: whole.indexOf(word) }] : []));
  const match = matches.sort((a, b) => a.at + a.word.length - (b.at + b.word.length))[0];
  const completionTokens = match ? match.at + match.word.length : maxTokens;
  const output = {
    text: whole.slice(0, match?.at),
    tokens: Int32Array.from(Buffer.from(whole.slice(0, completionTokens))),
    finishReason: match ? ('stop' as const) : ('length' as const),
    stopReason: match?.word,
  };
  return { outputs: [output], promptTokens: prompt.length, completionTokens };
}
