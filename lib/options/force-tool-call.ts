import type { ResponseTemplate } from '../base/response-template.js';
import type { Tool } from '../base/types.js';
import type { GuidedOptions } from './guided.js';

/** A call in the form that the schemas below have, whatever the model's own is. */
const CALL_ALONE: ResponseTemplate = {
  start_anchor: '\0', // the prompt has nothing of the answer
  fields: {
    tool_calls: {
      open_pattern: '^\\s*(?=\\{)',
      content: 'json',
      transform: { function: { name: '{content.name}', arguments: '{content.arguments}' } },
    },
    content: {},
  },
};

type Given = Readonly<Record<string, unknown>>;

/**
 * Options of a request that hold its answer to one call of one of these tools, with arguments that match its parameters. The
 * request must have the tools too, and needs `llm.capabilities.guided`.
 */
export function forceToolCall(tools: readonly Tool[]): { guided: GuidedOptions; responseTemplate: ResponseTemplate } {
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
  return { guided: { jsonSchema }, responseTemplate: CALL_ALONE };
}
