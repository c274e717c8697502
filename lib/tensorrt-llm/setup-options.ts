/** What to build for, and how to report it. */
export interface SetupOptions {
  /** The `tensorrt_llm` directory of the installed wheel, or one with `include/` and `lib/` or `libs/`. Default: `TENSORRT_LLM_ROOT`, else what `python3` has installed. */
  root?: string | undefined;
  /** Directory that holds `tensorrt_llm/executor/executor.h`. Default: `include` in the root, else that of NVIDIA's container. */
  include?: string | undefined;
  /** Where to put the library. Default: beside the addon, where LLM.load looks. */
  outDir?: string | undefined;
  /** Only find and check; change nothing. Default: false. */
  dryRun?: boolean | undefined;
  /** Stops the build when it aborts. Default: none. */
  signal?: AbortSignal | undefined;
  /** Called at each step. Default: none. */
  onStep?: ((step: SetupStep) => void) | undefined;
  /** Gets what CMake and the compiler print. Default: none. */
  onOutput?: ((text: string) => void) | undefined;
}

/** One thing that setup found or did. */
export interface SetupStep {
  name: 'tensorrt-llm' | 'headers' | 'cuda' | 'libraries' | 'tools' | 'build' | 'open' | 'done';
  /** What was found or done, for people. */
  text: string;
  /** What may make it fail later; undefined if nothing. */
  warning?: string;
}
