import type { ToolParameters } from './argument-types.js';
import type { CallReader, CallSink } from './call-reader.js';
import type { Source } from './call-shape.js';
import { type Entries, objectText, readLines, readTags, strictJson } from './content.js';
import { JsonCallReader } from './json-call-reader.js';
import type { CallFormat } from './template.js';

export interface WholeCallSettings {
  readonly format: CallFormat;
  readonly mark: string;
  readonly groups: ReadonlyMap<string, string>;
  readonly tools: ToolParameters;
}

/** Reads a region of calls that are not in JSON, at its end: only then is it known whether they are calls. */
export class WholeCallReader implements CallReader {
  readonly #settings: WholeCallSettings;
  readonly #sink: CallSink;
  #text = '';

  constructor(settings: WholeCallSettings, sink: CallSink) {
    this.#settings = settings;
    this.#sink = sink;
  }

  push(text: string): number {
    this.#text += text;
    return text.length;
  }

  end(mark: string): void {
    const { format, groups } = this.#settings;
    if (!this.#read(format, groups)) this.#sink.text(this.#settings.mark + this.#text + mark);
  }

  #read({ content, settings, tag, shape }: CallFormat, groups: ReadonlyMap<string, string>): boolean {
    if (content === 'json') return this.#readJson(strictJson(this.#text, settings));
    const entries = tag ? readTags(this.#text, tag, settings) : readLines(this.#text, settings);
    if (!entries) return false;
    const name = textAt(shape.name, entries, groups);
    if (name === undefined) return false;
    const { keys } = shape.arguments;
    const args = keys.length === 0 ? objectText(this.#settings.tools.cast(name, entries)) : entries.get(keys[0] ?? '');
    if (args === undefined) return false;
    this.#sink.call(name, shape.id && textAt(shape.id, entries, groups));
    this.#sink.arguments(args);
    return true;
  }

  /** All of it, or nothing. */
  #readJson(text: string): boolean {
    const made: (() => void)[] = [];
    let rest = '';
    const sink: CallSink = {
      call: (name, id) => made.push(() => this.#sink.call(name, id)),
      arguments: (part) => made.push(() => this.#sink.arguments(part)),
      text: (part) => {
        rest += part;
      },
    };
    const { groups, format } = this.#settings;
    const reader = new JsonCallReader({ shape: format.shape, mark: '', groups, names: undefined }, sink);
    const isAll = reader.push(text) === text.length;
    if (isAll) reader.end('');
    if (!isAll || rest !== '' || made.length === 0) return false;
    for (const act of made) act();
    return true;
  }
}

function textAt(source: Source, entries: Entries, groups: ReadonlyMap<string, string>): string | undefined {
  if ('text' in source) return source.text;
  if ('group' in source) return groups.get(source.group);
  const json = source.keys.length === 1 ? entries.get(source.keys[0] as string) : undefined;
  return json?.startsWith('"') ? (JSON.parse(json) as string) : undefined;
}
