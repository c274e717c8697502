import * as v from 'valibot';
import { list } from './body.js';
import type { PromptFields } from './chat.js';

type Message = PromptFields['messages'][number];

const textPart = v.object({ type: v.picklist(['input_text', 'output_text', 'text']), text: v.string() });
const refusalPart = v.object({ type: v.literal('refusal'), refusal: v.string() });
const content = v.union([v.string(), list(v.variant('type', [textPart, refusalPart]))]);

const message = v.looseObject({ type: v.optional(v.literal('message')), role: v.string(), content });
const functionCall = v.looseObject({
  type: v.literal('function_call'),
  call_id: v.string(),
  name: v.string(),
  arguments: v.string(),
});
const functionCallOutput = v.looseObject({
  type: v.literal('function_call_output'),
  call_id: v.string(),
  output: content,
});
const reasoningParts = v.nullish(list(v.looseObject({ text: v.string() })));
const reasoning = v.looseObject({ type: v.literal('reasoning'), content: reasoningParts, summary: reasoningParts });

const typedItem = v.variant('type', [message, functionCall, functionCallOutput, reasoning]);
type Item = v.InferOutput<typeof typedItem>;

// Messages may come without a type.
const item = v.lazy((given) => ((given as Partial<Item> | null)?.type === undefined ? message : typedItem));

/** What a response answers: a text, or the items of the conversation so far. */
export const responseInput = v.union([v.string(), list(item)]);

/** The items of an input as the messages of a chat. */
export function messagesOf(input: v.InferOutput<typeof responseInput>, instructions: string | undefined): Message[] {
  const messages: Message[] = instructions === undefined ? [] : [{ role: 'system', content: instructions }];
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }];
  let turn: AssistantTurn | undefined;
  for (const each of input) {
    if (each.type === 'function_call_output') {
      turn = undefined;
      messages.push({ role: 'tool', tool_call_id: each.call_id, content: textOf(each.output) });
    } else if ((each.type === undefined || each.type === 'message') && each.role !== 'assistant') {
      turn = undefined;
      const role = each.role === 'developer' ? 'system' : each.role;
      const last = messages.at(-1);
      // Clients send several, and many chat templates take one.
      if (role === 'system' && last?.role === 'system') last.content += `\n\n${textOf(each.content)}`;
      else messages.push({ role, content: textOf(each.content) });
    } else {
      if (!turn?.takes(each)) {
        turn = new AssistantTurn();
        messages.push(turn.message);
      }
      turn.add(each);
    }
  }
  return messages;
}

/** Reasoning, a text and calls that follow each other: chat templates take them as one message. */
class AssistantTurn {
  readonly message: Message & { reasoning_content?: string; tool_calls?: object[] } = {
    role: 'assistant',
    content: '',
  };

  takes({ type }: Item): boolean {
    const { content: given, reasoning_content, tool_calls } = this.message;
    if (type === 'function_call') return true;
    return !tool_calls && given === '' && (type !== 'reasoning' || reasoning_content === undefined);
  }

  add(each: Exclude<Item, { type: 'function_call_output' }>): void {
    if (each.type === 'function_call') {
      this.message.tool_calls ??= [];
      const { name, arguments: given } = each;
      this.message.tool_calls.push({ id: each.call_id, type: 'function', function: { name, arguments: given } });
    } else if (each.type === 'reasoning') {
      const parts = each.content?.length ? each.content : (each.summary ?? []);
      this.message.reasoning_content = parts.map(({ text }) => text).join('');
    } else {
      this.message.content = textOf(each.content);
    }
  }
}

const textOf = (given: v.InferOutput<typeof content>): string =>
  typeof given === 'string'
    ? given
    : given.map((part) => (part.type === 'refusal' ? part.refusal : part.text)).join('');
