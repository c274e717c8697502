import { type BuildOptions, type BuiltEngine, buildEngine } from '../index.js';
import { type Command, choice, number, positionals, printJson, QUANTIZATIONS, text } from './command.js';
import { progressBar } from './progress-bar.js';

const DTYPES = ['auto', 'float32', 'float16', 'bfloat16'] as const satisfies readonly BuildOptions['dtype'][];
const PROFILES = ['nemotron-card', 'nemotron-128k'] as const satisfies readonly BuildOptions['profile'][];
const WEIGHTS = ['auto', 'checkpoint', 'tensorrt'] as const satisfies readonly BuildOptions['weights'][];

export const build: Command = {
  name: 'build',
  usage: 'build SOURCE OUT',
  summary: 'make an engine from a checkpoint, with TensorRT-LLM where it is installed',
  help: `Usage: node-tensorrt-llm build SOURCE OUT [OPTIONS] [-- ARGUMENTS OF trtllm-build]

Makes the engine directory OUT from the checkpoint SOURCE: converts it, splits it over ranks and, if trtllm-build is on PATH, builds
TensorRT engines with it. Otherwise OUT holds what the executors 'cpu' and 'cuda' run, as "convert" makes it. SOURCE is a Hugging Face
directory, a NeMo checkpoint, a .gguf file, or another engine directory.

  --profile NAME           sizes for a known case; other options replace its own:
                             nemotron-card   3,072 tokens in, 1,024 out, one request, 2 ranks
                             nemotron-128k   126,976 tokens in, 4,096 out, one request, 4 ranks
  --tp-size N              ranks that share each layer (default: 1)
  --pp-size N              stages of layers (default: 1)
  --parallel-embedding     each rank has its part of the embedding only
  --dtype TYPE             ${DTYPES.join(', ')} (default: auto: as in SOURCE, but float16 for float32)
  --quantization FORM      ${QUANTIZATIONS.join(', ')} (default: as in SOURCE)
  --calibration FILE       texts that the model reads for fp8, one a line, or with a "text" in each line of a .jsonl (default: 32 of our own)
  --max-seq-len N          maximum length of a sequence, prompt and output (default: what the model was trained for)
  --max-batch-size N       maximum number of sequences in a step (default: 64)
  --max-num-tokens N       maximum number of tokens in a step (default: 512; 8192 for TensorRT-LLM)
  --tokenizer DIR          directory with tokenizer.json, used instead of SOURCE's own
  --weights KIND           ${WEIGHTS.join(', ')} (default: auto: tensorrt if trtllm-build is found)
  --dry-run                check everything, print the command of trtllm-build, and write nothing
  --json                   print {"type":"engine","path","weights","tpSize","ppSize","command","logFile"}

For TensorRT-LLM:

  --max-input-len N        maximum length of a prompt (default: one token less than --max-seq-len)
  --max-beam-width N       most beams of a request (default: 1)
  --compute-capability C   of the GPUs that are to run the engine, such as 9.0 (default: this machine's)
  --trtllm-build PATH      the program (default: the one on PATH)
`,
  options: {
    profile: { type: 'string' },
    'tp-size': { type: 'string' },
    'pp-size': { type: 'string' },
    'parallel-embedding': { type: 'boolean' },
    dtype: { type: 'string' },
    quantization: { type: 'string' },
    calibration: { type: 'string' },
    'max-seq-len': { type: 'string' },
    'max-batch-size': { type: 'string' },
    'max-num-tokens': { type: 'string' },
    'max-input-len': { type: 'string' },
    'max-beam-width': { type: 'string' },
    'compute-capability': { type: 'string' },
    'trtllm-build': { type: 'string' },
    tokenizer: { type: 'string' },
    weights: { type: 'string' },
    'dry-run': { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(args, signal) {
    const { values } = args;
    const [source, out, ...extraArguments] = args.positionals;
    const isOurs = (argument: string | undefined): boolean => argument !== undefined && !argument.startsWith('-');
    positionals({ ...args, positionals: [source, out, extraArguments[0]].filter(isOurs) as string[] }, 'SOURCE', 'OUT');
    const warnings: string[] = [];
    const building = buildEngine(source as string, out as string, {
      profile: choice(values, 'profile', PROFILES),
      tpSize: number(values, 'tp-size'),
      ppSize: number(values, 'pp-size'),
      parallelEmbedding: values['parallel-embedding'] === true,
      dtype: choice(values, 'dtype', DTYPES),
      quantization: choice(values, 'quantization', QUANTIZATIONS),
      calibration: text(values, 'calibration'),
      maxSeqLen: number(values, 'max-seq-len'),
      maxBatchSize: number(values, 'max-batch-size'),
      maxNumTokens: number(values, 'max-num-tokens'),
      maxInputLen: number(values, 'max-input-len'),
      maxBeamWidth: number(values, 'max-beam-width'),
      computeCapability: text(values, 'compute-capability'),
      trtllmBuild: text(values, 'trtllm-build'),
      extraArguments: extraArguments.length > 0 ? extraArguments : undefined,
      tokenizer: text(values, 'tokenizer'),
      weights: choice(values, 'weights', WEIGHTS),
      dryRun: values['dry-run'] === true,
      signal,
      onWarning: (message) => void warnings.push(message), // behind the progress bar
    });
    const show = progressBar();
    for await (const progress of building) show(progress);
    const result = await building.result;
    for (const message of warnings) process.stderr.write(`warning: ${message}\n`);
    if (values.json) printJson({ type: 'engine', ...result });
    else process.stdout.write(values['dry-run'] ? describe(result) : `${result.path}\n`);
  },
};

function describe({ path, tpSize, ppSize, command }: BuiltEngine): string {
  const ranks = tpSize * ppSize;
  const size = `${ranks} ${ranks === 1 ? 'rank' : 'ranks'} (tensor parallel ${tpSize}, pipeline parallel ${ppSize})`;
  return command === null
    ? `A checkpoint of ${size} would be written to ${path}.\n`
    : `A TensorRT engine of ${size} would be written to ${path}, from the checkpoint CHECKPOINT that is made first:\n${command}\n`;
}
