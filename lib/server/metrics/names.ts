/** Whose names the metrics have, for dashboards and routers that know them. */
export type MetricNames = 'node-tensorrt-llm' | 'vllm';

const PREFIX = 'node_trtllm_';

/** Those of vLLM's metrics that say the same, by our names without the prefix. The stems are vLLM's where there is one. */
const VLLM: Readonly<Record<string, string>> = {
  num_requests_running: 'num_requests_running',
  num_requests_waiting: 'num_requests_waiting',
  kv_cache_usage_ratio: 'kv_cache_usage_perc',
  preemptions_total: 'num_preemptions_total',
  draft_tokens_total: 'spec_decode_num_draft_tokens_total',
  draft_tokens_accepted_total: 'spec_decode_num_accepted_tokens_total',
  prompt_tokens_total: 'prompt_tokens_total',
  cached_tokens_total: 'prefix_cache_hits_total',
  generation_tokens_total: 'generation_tokens_total',
  requests_total: 'request_success_total',
  time_to_first_token_seconds: 'time_to_first_token_seconds',
  request_time_per_output_token_seconds: 'request_time_per_output_token_seconds',
  e2e_request_latency_seconds: 'e2e_request_latency_seconds',
  request_queue_time_seconds: 'request_queue_time_seconds',
  request_prefill_time_seconds: 'request_prefill_time_seconds',
  request_decode_time_seconds: 'request_decode_time_seconds',
  request_inference_time_seconds: 'request_inference_time_seconds',
  request_prompt_tokens: 'request_prompt_tokens',
  request_generation_tokens: 'request_generation_tokens',
  request_params_n: 'request_params_n',
};

/** How metrics and their labels are written. */
export interface Naming {
  metric(stem: string): string;
  model(name: string): Readonly<Record<string, string>>;
  finishReason(reason: string): Readonly<Record<string, string>>;
}

export const NAMINGS: Readonly<Record<MetricNames, Naming>> = {
  'node-tensorrt-llm': {
    metric: (stem) => PREFIX + stem,
    model: (model) => ({ model }),
    finishReason: (finish_reason) => ({ finish_reason }),
  },
  vllm: {
    metric: (stem) => (Object.hasOwn(VLLM, stem) ? `vllm:${VLLM[stem]}` : PREFIX + stem),
    model: (model_name) => ({ model_name, engine: '0' }),
    finishReason: (reason) => ({ finished_reason: reason === 'cancelled' ? 'abort' : reason }),
  },
};
