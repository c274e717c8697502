/**
 * How to read reasoning and tool calls out of a model's answer, in the form of Hugging Face transformers: `response_template` of
 * tokenizer_config.json.
 */
export interface ResponseTemplate {
  version?: 1 | undefined;
  /** Fields of every message. They are not used here. */
  defaults?: Readonly<Record<string, unknown>> | undefined;
  /** What the assistant's turn begins with in the prompt. What follows the last one is read as the start of the answer. */
  start_anchor?: string | readonly string[] | undefined;
  /** The same as a regular expression. */
  start_anchor_pattern?: string | undefined;
  /** Regions of the answer: `reasoning_content` (or `thinking`, `reasoning`), `content` and `tool_calls`. */
  fields: Readonly<Record<string, ResponseField>>;
}

/** Regions of reasoning, by any of their names. */
export const REASONING_FIELDS: readonly string[] = ['reasoning_content', 'thinking', 'reasoning'];

/** A region of an answer. */
export interface ResponseField {
  /** What it begins with. The one field without it has what no other field takes. */
  open?: string | readonly string[] | undefined;
  /** The same as a regular expression. */
  open_pattern?: string | undefined;
  /** What it ends with; without, it ends with the answer. */
  close?: string | readonly string[] | undefined;
  /** The same as a regular expression. */
  close_pattern?: string | undefined;
  /** How a tool call is written; other fields are text. */
  content?: 'text' | 'int' | 'float' | 'bool' | 'json' | 'xml-inline' | 'kv-lines' | undefined;
  content_args?: Readonly<Record<string, unknown>> | undefined;
  /** There can be several. */
  repeats?: boolean | undefined;
  /** What is put between several texts. It is not used here: texts follow each other. */
  join?: string | undefined;
  /** Whether a message may lack it. Here every field may. */
  optional?: boolean | undefined;
  /** Where the name and the arguments of a call are in what was read: `{content.name}`. */
  transform?: unknown;
  /** The content is a list of calls, and the keys are those of its items. */
  transform_each?: boolean | undefined;
}
