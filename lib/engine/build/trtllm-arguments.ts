/** What trtllm-build builds an engine for. Lengths are in tokens. */
export interface EngineSettings {
  readonly maxBatchSize: number;
  readonly maxInputLen: number;
  readonly maxSeqLen: number;
  readonly maxNumTokens: number;
  readonly maxBeamWidth: number;
  /** Whether weights and inputs of the linear layers are FP8. */
  readonly isFp8: boolean;
  /** Of the GPUs that are to run it, as "9.0". */
  readonly computeCapability: string;
  /** Further arguments, after ours; where trtllm-build has one twice, the last counts. */
  readonly extraArguments: readonly string[];
}

const AMPERE = 8;
const HOPPER = 9;

/**
 * The arguments of trtllm-build. All that is set here exists in TensorRT-LLM 0.13 to 1.2 with the same meaning, although not with the
 * same default: 0.13 builds without `use_paged_context_fmha`, so without reuse of KV blocks and chunked prefill at run time.
 * Source: parse_arguments of tensorrt_llm/commands/build.py and PluginConfig of tensorrt_llm/plugin/plugin.py, in both.
 */
export function trtllmArguments(
  checkpointDir: string,
  outDir: string,
  workers: number,
  settings: EngineSettings,
): string[] {
  const { maxBatchSize, maxInputLen, maxSeqLen, maxNumTokens, maxBeamWidth, isFp8 } = settings;
  // Turing has no fused attention for prompts in these libraries, and what builds on it needs it too.
  const hasFmha = Number(settings.computeCapability) >= AMPERE;
  const flags: Readonly<Record<string, string | number>> = {
    checkpoint_dir: checkpointDir,
    output_dir: outDir,
    workers,
    max_batch_size: maxBatchSize,
    max_input_len: maxInputLen,
    max_seq_len: maxSeqLen,
    max_num_tokens: maxNumTokens,
    max_beam_width: maxBeamWidth,
    remove_input_padding: 'enable', // batching at every step needs it
    context_fmha: onOff(hasFmha),
    use_paged_context_fmha: onOff(hasFmha),
    ...(isFp8 && Number(settings.computeCapability) >= HOPPER && { use_fp8_context_fmha: 'enable' }),
    // TensorRT's own kernels for FP8 are the faster ones; the plugin's are for 16 bits.
    gemm_plugin: isFp8 ? 'disable' : 'auto',
  };
  return [
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...settings.extraArguments,
  ];
}

const onOff = (isOn: boolean): string => (isOn ? 'enable' : 'disable');
