import type { ChatTemplateLimits } from '../base/chat-template-limits.js';
import { show } from '../base/checks.js';
import { LLMError } from '../base/errors.js';
import { ChatTemplate, type ChatTemplateOptions } from './chat-template.js';

const DEFAULT = 'default';
const WITH_TOOLS = 'tool_use';

/** A model's chat templates, of which most have one, without a name. */
export class ChatTemplates {
  readonly #templates: ReadonlyMap<string, ChatTemplate>;

  constructor(
    sources: ReadonlyMap<string, string>,
    specialTokens: Readonly<Record<string, string>>,
    limits: ChatTemplateLimits | undefined,
  ) {
    this.#templates = new Map(
      [...sources].map(([name, source]) => [name, new ChatTemplate(source, specialTokens, limits)]),
    );
  }

  /** The one that is named, else as Hugging Face transformers: with tools `tool_use`, if there is one, else `default`. */
  find({ chatTemplate: name, tools }: ChatTemplateOptions): ChatTemplate | undefined {
    const hasToolUse = tools !== undefined && tools !== null && this.#templates.has(WITH_TOOLS);
    return this.#templates.get(name ?? (hasToolUse ? WITH_TOOLS : DEFAULT));
  }

  /** @throws {LLMError} `ERR_CHAT_TEMPLATE` naming those that there are. */
  choose(options: ChatTemplateOptions): ChatTemplate {
    const chosen = this.find(options);
    if (chosen) return chosen;
    const { chatTemplate: name } = options;
    const names = [...this.#templates.keys()].map((each) => JSON.stringify(each)).join(' or ');
    if (names === '') {
      throw new LLMError(
        'ERR_CHAT_TEMPLATE',
        'This model has no chat template; expected one, because messages were passed. Put it beside tokenizer.json as chat_template.jinja, or pass text or tokens.',
      );
    }
    const found =
      name === undefined || name === null ? 'is missing, and this model has no default' : `is ${show(name)}`;
    throw new LLMError('ERR_CHAT_TEMPLATE', `chatTemplate ${found}; expected ${names}.`);
  }
}
