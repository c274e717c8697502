import { Template } from '@huggingface/jinja';
import { LLMError, messageOf } from '../base/errors.js';
import type { ChatMessage, Tool } from '../base/types.js';
import { strftime } from './strftime.js';

/** What the chat template gets besides the messages. */
export interface ChatTemplateOptions {
  /** Functions the model may call. Default: none. */
  tools?: readonly Tool[] | undefined;
  /** End the text with the start of the assistant's turn. Default: true. */
  addGenerationPrompt?: boolean | undefined;
  /** More variables for the template; they replace the model's and this package's of the same name. Default: none. */
  templateVars?: Readonly<Record<string, unknown>> | undefined;
}

const show = (value: unknown): string =>
  value === undefined ? 'missing' : value === null ? 'null' : `of type ${typeof value}`;

const checkMessages: (messages: unknown) => asserts messages is readonly ChatMessage[] = (messages) => {
  const invalid = (what: string, found: string, expected: string) =>
    new LLMError('ERR_INVALID_INPUT', `${what} is ${found}; expected ${expected}.`);
  if (!Array.isArray(messages)) throw invalid('messages', show(messages), 'an array of { role, content }');
  if (messages.length === 0) throw invalid('messages', 'empty', 'at least one { role, content }');
  for (const [index, message] of (messages as unknown[]).entries()) {
    if (typeof message !== 'object' || message === null) {
      throw invalid(`messages[${index}]`, show(message), 'an object { role, content }');
    }
    const { role, content } = message as Partial<ChatMessage>;
    if (typeof role !== 'string') throw invalid(`messages[${index}].role`, show(role), "a string such as 'user'");
    if (typeof content !== 'string' && content !== null && !Array.isArray(content)) {
      throw invalid(`messages[${index}].content`, show(content), 'a string, an array of parts, or null');
    }
  }
};

/** A model's chat template (Jinja), with the variables and functions that Hugging Face transformers gives it. */
export class ChatTemplate {
  #compiled: Template | undefined; // at first use: a model whose template is broken still takes text and tokens

  constructor(
    readonly source: string,
    readonly specialTokens: Readonly<Record<string, string>>,
  ) {}

  /**
   * @throws {LLMError} `ERR_INVALID_INPUT` naming the field of `messages` that is wrong;
   * `ERR_CHAT_TEMPLATE` with the template's own words where it refuses the messages.
   */
  render(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    const { tools, addGenerationPrompt = true, templateVars } = options;
    checkMessages(messages);
    if (tools !== undefined && !Array.isArray(tools)) {
      throw new LLMError('ERR_INVALID_INPUT', `tools is ${show(tools)}; expected an array of tools.`);
    }
    if (templateVars !== undefined && (typeof templateVars !== 'object' || templateVars === null)) {
      throw new LLMError('ERR_INVALID_INPUT', `templateVars is ${show(templateVars)}; expected an object.`);
    }
    try {
      // The library's own strftime_now uses the language of the process; that of transformers is always English.
      this.#compiled ??= new Template(`{% set strftime_now = english_strftime_now %}\n${this.source}`);
      return this.#compiled.render({
        ...this.specialTokens,
        messages,
        tools: tools ?? null,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
        ...templateVars,
        english_strftime_now: (format: string) => strftime(new Date(), format),
      });
    } catch (cause) {
      throw new LLMError('ERR_CHAT_TEMPLATE', `The chat template failed: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}
