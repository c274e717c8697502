import { type Plan, type PlannedChoice, plan as planModel } from '../index.js';
import { type Command, number, positionals, printJson, text } from './command.js';

export const plan: Command = {
  name: 'plan',
  usage: 'plan SOURCE',
  summary: 'show what a model takes on GPUs, before anything is converted',
  help: `Usage: node-tensorrt-llm plan SOURCE [OPTIONS]

Reads the headers of the checkpoint SOURCE, and prints for each precision and number of GPUs how much memory the weights, the KV cache
and the work of a step take on each GPU, and for how many tokens the rest is enough.

  --gpus GPUS           what to plan for, such as 2xH100-80GB, 4xA100-40GB, T4 (default: the GPUs of this machine)
  --max-seq-len N       length of a sequence, prompt and output, that must fit (default: 8192, or the model's if that is less)
  --max-batch-size N    number of such sequences that must fit together (default: 1)
  --max-num-tokens N    number of tokens that a step computes (default: 8192)
  --parallel-embedding  each rank has its part of the embedding only
  --tokenizer DIR       directory with tokenizer.json, if SOURCE has none
  --json                print one object: {"type":"plan","gpus","choices","recommended"}
`,
  options: {
    gpus: { type: 'string' },
    'max-seq-len': { type: 'string' },
    'max-batch-size': { type: 'string' },
    'max-num-tokens': { type: 'string' },
    'parallel-embedding': { type: 'boolean' },
    tokenizer: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(args) {
    const [source] = positionals(args, 'SOURCE') as [string];
    const { values } = args;
    const result = await planModel(source, {
      gpus: text(values, 'gpus'),
      maxSeqLen: number(values, 'max-seq-len'),
      maxBatchSize: number(values, 'max-batch-size'),
      maxNumTokens: number(values, 'max-num-tokens'),
      parallelEmbedding: values['parallel-embedding'] === true,
      tokenizer: text(values, 'tokenizer'),
    });
    if (values.json) printJson({ type: 'plan', ...result });
    else process.stdout.write(tableOf(result));
  },
};

const COLUMNS = ['precision', 'GPUs', 'tp', 'pp', 'weights GB', 'work GB', 'KV kB/token', 'tokens', ''] as const;

function tableOf({ architecture, parameters, gpus, maxSeqLen, maxBatchSize, choices, recommended }: Plan): string {
  const rows = choices.map((choice) => rowOf(choice, choice === recommended));
  const widths = COLUMNS.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(({ length }) => length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 || column === 8 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const sequences = maxBatchSize === 1 ? 'a sequence' : `${maxBatchSize} sequences`;
  return [
    `${architecture}, ${(parameters / 1e9).toFixed(2)} billion weights, on ${gpus.count} x ${gpus.name} of ${gigabytes(gpus.memoryBytes)} GB`,
    '',
    line(COLUMNS),
    ...rows.map(line),
    '',
    recommended
      ? `Recommended for ${sequences} of ${maxSeqLen} tokens: ${describe(recommended)}.`
      : `${maxBatchSize === 1 ? 'A sequence' : `${maxBatchSize} sequences`} of ${maxSeqLen} tokens do not fit in any of these ways. Use more or larger GPUs, or lower --max-seq-len or --max-batch-size.`,
    '',
  ].join('\n');
}

const precisionOf = ({ dtype, quantization }: PlannedChoice): string => quantization ?? dtype;

function describe(choice: PlannedChoice): string {
  const { tpSize, ppSize } = choice;
  const gpus = tpSize * ppSize;
  return `${precisionOf(choice)} on ${gpus} ${gpus === 1 ? 'GPU' : 'GPUs'} (tensor parallel ${tpSize}, pipeline parallel ${ppSize})`;
}

function rowOf(choice: PlannedChoice, isRecommended: boolean): string[] {
  const { tpSize, ppSize, weightBytes, workspaceBytes, kvBytesPerToken, tokens, fits, obstacle } = choice;
  const remark =
    obstacle ?? (isRecommended ? 'recommended' : tokens === 0 ? 'does not fit' : fits ? '' : 'too few tokens');
  return [
    precisionOf(choice),
    String(tpSize * ppSize),
    String(tpSize),
    String(ppSize),
    gigabytes(weightBytes),
    gigabytes(workspaceBytes),
    (kvBytesPerToken / 1e3).toFixed(1),
    String(tokens),
    remark,
  ];
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
