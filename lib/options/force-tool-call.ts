import { REASONING_FIELDS, type ResponseField, type ResponseTemplate } from '../base/response-template.js';
import type { Tool } from '../base/types.js';
import type { GuidedOptions } from './guided.js';

/** A call in the form that the schemas below have, whatever the model's own is. */
const CALL: ResponseField = {
  open_pattern: '\\s*(?=\\{)',
  content: 'json',
  transform: { function: { name: '{content.name}', arguments: '{content.arguments}' } },
};
const NO_ANCHOR = '\0'; // the prompt has nothing of the answer

/** What decides whether a model may reason before its call. */
interface Reasoner {
  readonly info: { readonly guidedAfterReasoning: boolean };
  readonly responseTemplate: ResponseTemplate | undefined;
}

type Given = Readonly<Record<string, unknown>>;

/**
 * Options of a request that hold its answer to one call of one of these tools, with arguments that match its parameters. The
 * request must have the tools too, and needs `llm.capabilities.guided`.
 * @param llm whose model may reason before the call, if `llm.info.guidedAfterReasoning`. Default: the call is all of the answer.
 */
export function forceToolCall(
  tools: readonly Tool[],
  llm?: Reasoner,
): { guided: GuidedOptions; responseTemplate: ResponseTemplate } {
  const functions = tools.map((tool) => (tool.function ?? tool) as Given);
  const calls = functions.map(({ name, parameters }) => ({
    type: 'object',
    properties: { name: { const: name }, arguments: (parameters as Given | undefined) ?? { type: 'object' } },
    required: ['name', 'arguments'],
    additionalProperties: false,
  }));
  // A schema refers to its definitions from the root.
  const definitions = functions.map(({ parameters }) => (parameters as Given | undefined)?.$defs as Given | undefined);
  const shared = Object.assign({}, ...definitions) as Given;
  const jsonSchema = { anyOf: calls, ...(Object.keys(shared).length > 0 && { $defs: shared }) };
  const {
    fields = {},
    start_anchor,
    start_anchor_pattern,
  } = (llm?.info.guidedAfterReasoning && llm.responseTemplate) || {};
  const reasoning = Object.entries(fields).filter(([name]) => REASONING_FIELDS.includes(name));
  const anchor =
    start_anchor_pattern === undefined ? { start_anchor: start_anchor ?? NO_ANCHOR } : { start_anchor_pattern };
  const responseTemplate = { ...anchor, fields: { ...Object.fromEntries(reasoning), tool_calls: CALL, content: {} } };
  return { guided: { jsonSchema }, responseTemplate };
}
