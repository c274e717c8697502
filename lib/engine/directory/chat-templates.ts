import { join } from 'node:path';
import { LLMError, messageOf } from '../../base/errors.js';
import { fixOf, isNotFound, isSystemError, listDirectory } from '../../base/file-errors.js';
import { isJsonObject, type JsonFields, readJsonIfThere, readTextIfThere } from '../../base/json.js';

/** Of templates that have names, one in each file. */
export const TEMPLATE_DIRECTORY = 'additional_chat_templates';
const DEFAULT = 'default'; // the name of the one that has none
const MAX_TEMPLATES = 100;

/** Jinja sources by their names. */
export type ChatTemplates = ReadonlyMap<string, string>;

/**
 * The chat templates of a model: those in files of their own, else those of tokenizer_config.json, else those of chat_template.json,
 * which the models of several kinds of input have.
 */
export async function readChatTemplates(dir: string, config: JsonFields | undefined): Promise<ChatTemplates> {
  const inFiles = await readFiles(dir);
  if (inFiles.size > 0) return inFiles;
  const ofConfig = config && templatesOf(config);
  if (ofConfig && ofConfig.size > 0) return ofConfig;
  const file = join(dir, 'chat_template.json');
  const fields = await readJsonIfThere({ file, code: 'ERR_TOKENIZER_INVALID', fix: 'Fix the file, or remove it.' });
  return fields ? templatesOf(fields) : new Map();
}

async function readFiles(dir: string): Promise<ChatTemplates> {
  const templates = new Map<string, string>();
  const add = async (name: string, file: string): Promise<void> => {
    const source = await readTextIfThere(join(dir, file), 'ERR_CHAT_TEMPLATE');
    if (source !== undefined) templates.set(name, source);
  };
  await add(DEFAULT, 'chat_template.jinja');
  for (const file of await namedTemplateFiles(dir)) {
    await add(file.slice(TEMPLATE_DIRECTORY.length + 1, -'.jinja'.length), file);
  }
  return templates;
}

/** The files of templates that have names, by their paths below `dir`. */
export async function namedTemplateFiles(dir: string): Promise<string[]> {
  const path = join(dir, TEMPLATE_DIRECTORY);
  const names = await listDirectory(path).catch((cause: unknown) => {
    if (isNotFound(cause) || (isSystemError(cause) && cause.code === 'ENOTDIR')) return [];
    const fix = fixOf(cause, 'Check its permissions.');
    throw new LLMError('ERR_CHAT_TEMPLATE', `${path} cannot be read: ${messageOf(cause)}. ${fix}`, { cause });
  });
  const found = names.filter((name) => name.endsWith('.jinja')).sort();
  if (found.length <= MAX_TEMPLATES) return found.map((name) => `${TEMPLATE_DIRECTORY}/${name}`);
  throw new LLMError(
    'ERR_CHAT_TEMPLATE',
    `${path} has ${found.length} templates; expected at most ${MAX_TEMPLATES}. Remove those that are not used.`,
  );
}

/** A template without a name, a list of named ones, or an object of them. */
function templatesOf(fields: JsonFields): ChatTemplates {
  const value = fields.object.chat_template;
  const named: [name: unknown, template: unknown][] = [];
  if (Array.isArray(value)) {
    for (const each of value) named.push(isJsonObject(each) ? [each.name, each.template] : [undefined, undefined]);
  } else if (isJsonObject(value)) named.push(...Object.entries(value));
  else if (fields.has('chat_template')) named.push([DEFAULT, value]);
  const isText = (pair: [unknown, unknown]): pair is [string, string] => pair.every((each) => typeof each === 'string');
  if (named.length <= MAX_TEMPLATES && named.every(isText)) return new Map(named);
  throw fields.error('chat_template', `a template, or a list of at most ${MAX_TEMPLATES} with name and template`);
}
