import { type ConvertOptions, convert as convertModel } from '../index.js';
import { type Command, choice, number, positionals, printJson, QUANTIZATIONS, text } from './command.js';
import { progressBar } from './progress-bar.js';

const TYPES = ['auto', 'float32', 'float16', 'bfloat16'] as const satisfies readonly ConvertOptions['dtype'][];

export const convert: Command = {
  name: 'convert',
  usage: 'convert SOURCE OUT',
  summary: 'make an engine directory from a checkpoint',
  help: `Usage: node-tensorrt-llm convert SOURCE OUT [OPTIONS]

Converts SOURCE to the engine directory OUT. SOURCE is a Hugging Face directory with safetensors files, a NeMo checkpoint (a
.nemo file or its directory), a .gguf file, or another engine directory.

  --dtype TYPE          ${TYPES.join(', ')} (default: auto: as in SOURCE, but float16 for float32; other types dequantize a GGUF)
  --quantization FORM   ${QUANTIZATIONS.join(', ')} (default: as in SOURCE)
  --calibration FILE    texts that the model reads for fp8, one a line, or with a "text" in each line of a .jsonl (default: 32 of our own)
  --tp-size N           ranks that share each layer (default: 1)
  --pp-size N           stages of layers (default: 1)
  --parallel-embedding  each rank has its part of the embedding only
  --max-seq-len N       maximum length of a sequence, prompt and output (default: what the model was trained for)
  --max-batch-size N    maximum number of sequences in a step (default: 64)
  --max-num-tokens N    maximum number of tokens in a step, over all sequences (default: 512)
  --tokenizer DIR       directory with tokenizer.json, used instead of SOURCE's own (default: SOURCE's; most .nemo files have none)
  --json                print {"type":"engine","path"}
`,
  options: {
    dtype: { type: 'string' },
    quantization: { type: 'string' },
    calibration: { type: 'string' },
    'tp-size': { type: 'string' },
    'pp-size': { type: 'string' },
    'parallel-embedding': { type: 'boolean' },
    'max-seq-len': { type: 'string' },
    'max-batch-size': { type: 'string' },
    'max-num-tokens': { type: 'string' },
    tokenizer: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(args, signal) {
    const [source, out] = positionals(args, 'SOURCE', 'OUT') as [string, string];
    const { values } = args;
    const options = {
      dtype: choice(values, 'dtype', TYPES),
      quantization: choice(values, 'quantization', QUANTIZATIONS),
      calibration: text(values, 'calibration'),
      tpSize: number(values, 'tp-size'),
      ppSize: number(values, 'pp-size'),
      parallelEmbedding: values['parallel-embedding'] === true,
      maxSeqLen: number(values, 'max-seq-len'),
      maxBatchSize: number(values, 'max-batch-size'),
      maxNumTokens: number(values, 'max-num-tokens'),
      tokenizer: text(values, 'tokenizer'),
    };
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message); // behind the progress bar
    const path = await convertModel(source, out, { ...options, signal, onProgress: progressBar(), onWarning });
    for (const message of warnings) process.stderr.write(`warning: ${message}\n`);
    if (values.json) printJson({ type: 'engine', path });
    else process.stdout.write(`${path}\n`);
  },
};
