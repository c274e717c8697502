import type { ResponseField, ResponseTemplate } from '../../base/response-template.js';

/** What the assistant's turn begins with, in the formats that the templates here are for. */
const START_ANCHORS = [
  '<|im_start|>assistant\n',
  '<|start_header_id|>assistant<|end_header_id|>\n\n',
  '<|header_start|>assistant<|header_end|>\n\n',
  '[/INST]',
  '[/TOOL_RESULTS]',
  '<｜Assistant｜>',
  '<|assistant|>',
];

const CALL = { type: 'function', function: '{content}' };

/** The text is what no other region takes. */
const CONTENT: ResponseField = { content: 'text' };

/** Hermes, Qwen 2.5, Qwen 3, SmolLM3. */
const TAGGED_JSON: ResponseField = {
  open: '<tool_call>',
  close: '</tool_call>',
  repeats: true,
  content: 'json',
  transform: CALL,
};

/** Qwen3-Coder, Qwen 3.5, Nemotron 3. */
const TAGGED_XML: ResponseField = {
  open_pattern: '<tool_call>\\s*<function=(?P<name>[^>\\n]+)>',
  close_pattern: '</function>\\s*</tool_call>',
  repeats: true,
  content: 'xml-inline',
  content_args: { tag_pattern: '<parameter=(?P<key>[^>\\n]+)>\\n?(?P<value>.*?)\\n?</parameter>' },
  transform: { type: 'function', function: { name: '{name}', arguments: '{content}' } },
};

/** Mistral 7B v0.3, Nemo, Mistral Small 3.1. */
const MISTRAL_LIST: ResponseField = {
  open: '[TOOL_CALLS]',
  content: 'json',
  transform_each: true,
  transform: { type: 'function', id: '{id}', function: { name: '{name}', arguments: '{arguments}' } },
};

/** Mistral Small 3.2, Devstral, Ministral 3. */
const MISTRAL_ARGS: ResponseField = {
  open_pattern: '\\[TOOL_CALLS\\](?P<name>[^\\[]+)(?:\\[CALL_ID\\](?P<id>[^\\[]+))?\\[ARGS\\]',
  repeats: true,
  content: 'json',
  transform: { type: 'function', id: '{id}', function: { name: '{name}', arguments: '{content}' } },
};

/** Llama 3.1 to 3.3 and 4: the whole answer is a call. */
const LLAMA: ResponseField = {
  open_pattern: '^\\s*(?:<\\|python_tag\\|>\\s*|<\\|python_start\\|>\\s*(?:<\\|python_end\\|>\\s*)?)?(?=\\{)',
  content: 'json',
  transform: { type: 'function', function: { name: '{content.name}', arguments: '{content.parameters}' } },
};

const TAGGED_REASONING: ResponseField = { open: '<think>', close: '</think>', content: 'text' };
const MISTRAL_REASONING: ResponseField = { open: '[THINK]', close: '[/THINK]', content: 'text' };

const LLAMA_INSTRUCTION = '{"name": function name, "parameters": dictionary of argument name and its value}';

function callsIn(source: string): ResponseField | undefined {
  if (source.includes('<tool_call>')) {
    if (source.includes('<arg_key>')) return undefined; // GLM's, which are neither
    return source.includes('<function=') ? TAGGED_XML : TAGGED_JSON;
  }
  if (source.includes('[TOOL_CALLS]')) return source.includes('[ARGS]') ? MISTRAL_ARGS : MISTRAL_LIST;
  return source.includes(LLAMA_INSTRUCTION) ? LLAMA : undefined;
}

function reasoningIn(source: string): ResponseField | undefined {
  if (source.includes('<think>')) return TAGGED_REASONING;
  return source.includes('[THINK]') ? MISTRAL_REASONING : undefined;
}

/** The response template for a model that has none of its own, by the marks that are in its chat template. */
export function knownTemplate(chatTemplate: string): ResponseTemplate | undefined {
  const reasoning = reasoningIn(chatTemplate);
  const calls = callsIn(chatTemplate);
  if (!reasoning && !calls) return undefined;
  return {
    start_anchor: START_ANCHORS,
    fields: {
      ...(reasoning && { reasoning_content: reasoning }),
      ...(calls && { tool_calls: calls }),
      content: CONTENT,
    },
  };
}
