import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LLM } from 'node-tensorrt-llm';
import { SCRIPTED_LIBRARY, scriptedEngine } from './engines.js';

/** Gives the last message, takes tools, and has the marks of Hermes, Qwen and their like. */
const TEMPLATE = '{# tools <think> <tool_call> #}{{ messages[-1].content }}<|im_start|>assistant\n';

/** A message to which the LLM of {@link loadSaying} answers `text`. */
export const saying = (text: string): string => `\x02${text}\x03`;

/** An LLM that says what it is told to; its reasoning and tool calls are read. */
export async function loadSaying(): Promise<LLM> {
  const dir = await scriptedEngine({ echo: true });
  await writeFile(join(dir, 'chat_template.jinja'), TEMPLATE);
  return LLM.load(dir, { executor: { library: SCRIPTED_LIBRARY } });
}
