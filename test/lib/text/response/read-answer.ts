import type { ResponseTemplate } from '#lib/base/response-template.js';
import type { Tool, ToolCall } from '#lib/base/types.js';
import { ToolParameters } from '#lib/text/response/argument-types.js';
import { knownTemplate } from '#lib/text/response/known-templates.js';
import { ResponseParser, startOfAnswer } from '#lib/text/response/response-parser.js';
import { compileTemplate } from '#lib/text/response/template.js';

export interface Answer {
  text: string;
  reasoning: string;
  calls: ToolCall[];
  /** What came, in order: `text`, `reasoning` and `arguments` in pieces. */
  pieces: string[];
}

export interface AnswerContext {
  /** Where the answer is cut. Default: nowhere. */
  cuts?: readonly number[];
  prompt?: string;
  /** Default: weather. */
  tools?: readonly Tool[] | undefined;
}

export const WEATHER: Tool = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};

/** The template that is known for a chat template with these marks. */
export function known(...marks: readonly string[]): ResponseTemplate {
  const template = knownTemplate(marks.join(' '));
  if (!template) throw new Error('there is none');
  return template;
}

export const LLAMA_MARK = '{"name": function name, "parameters": dictionary of argument name and its value}';

export function readAnswer(template: unknown, answer: string, context: AnswerContext = {}): Answer {
  const { cuts = [], prompt = '', tools = [WEATHER] } = context;
  const read: Answer = { text: '', reasoning: '', calls: [], pieces: [] };
  const compiled = compileTemplate(template);
  const start = startOfAnswer(compiled, prompt);
  const parameters = tools.length > 0 ? new ToolParameters(tools) : undefined;
  const parser = new ResponseParser(
    { template: compiled, start, tools: parameters },
    {
      text: (text) => {
        read.text += text;
        read.pieces.push(text);
      },
      reasoning: (text) => {
        read.reasoning += text;
        read.pieces.push(text);
      },
      call: ({ index, id, name, arguments: slice }) => {
        if (id !== undefined && name !== undefined) read.calls.push({ id, name, arguments: '' });
        (read.calls[index] as ToolCall).arguments += slice;
        if (slice !== '') read.pieces.push(slice);
      },
    },
  );
  let at = 0;
  for (const cut of [...cuts, answer.length]) {
    parser.push(answer.slice(at, cut));
    at = cut;
  }
  parser.end();
  return read;
}

/** Cuts before each unit. */
export const everywhere = (text: string): number[] => Array.from({ length: text.length }, (_, i) => i);
