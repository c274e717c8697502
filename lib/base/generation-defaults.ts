/** What the model's makers recommend; a field is undefined where `generation_config.json` does not set it. */
export interface GenerationDefaults {
  readonly doSample: boolean | undefined;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly noRepeatNgramSize: number | undefined;
  readonly maxTokens: number | undefined;
  readonly minTokens: number | undefined;
}
