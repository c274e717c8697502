import { webcrypto } from 'node:crypto';
import type { ToolCallDelta } from '../../base/types.js';
import type { ToolParameters } from './argument-types.js';
import type { CallReader, CallSink } from './call-reader.js';
import { JsonCallReader } from './json-call-reader.js';
import { allMatches } from './matcher.js';
import { type RegionSink, Regions } from './regions.js';
import type { CallFormat, CompiledTemplate } from './template.js';
import { TrimmedText } from './trimmed-text.js';
import { WholeCallReader } from './whole-call-reader.js';

/** Takes the parts of an answer as they become certain. */
export interface ResponseSink {
  text(text: string): void;
  reasoning(text: string): void;
  call(delta: ToolCallDelta): void;
}

export interface ResponseSettings {
  readonly template: CompiledTemplate;
  /** What of the answer the prompt has: many chat templates open the reasoning there. */
  readonly start: string;
  /** Without tools no calls are looked for. */
  readonly tools: ToolParameters | undefined;
}

/**
 * Reads one answer while it comes. All of it goes to the sink, but for marks and white space beside them: what looks like a call
 * and is none is text.
 */
export class ResponseParser {
  readonly #settings: ResponseSettings;
  readonly #sink: ResponseSink;
  readonly #regions: Regions;
  readonly #text: TrimmedText;
  readonly #reasoning: TrimmedText;
  /** The start of the assistant's turn, come again. It is no text if a region begins right behind it. */
  #anchor = '';
  #call: { readonly makeReader: () => CallReader; reader: CallReader; text: string } | undefined;
  #calls = 0;
  #isInPrompt = true;

  constructor(settings: ResponseSettings, sink: ResponseSink) {
    this.#settings = settings;
    this.#sink = sink;
    this.#text = new TrimmedText((text) => sink.text(text));
    this.#reasoning = new TrimmedText((text) => sink.reasoning(text));
    this.#regions = new Regions(settings.template, settings.tools !== undefined, this.#regionSink);
    this.#regions.skip(settings.start);
    this.#isInPrompt = false;
    if (!this.#call) return;
    this.#call.reader = this.#call.makeReader(); // the answer goes on with a call that the prompt began
    this.#call.reader.push(this.#call.text);
  }

  push(text: string): void {
    this.#regions.push(text);
  }

  end(): void {
    this.#regions.end();
    this.#text.push(this.#anchor);
    this.#text.end();
    this.#reasoning.end();
  }

  readonly #regionSink: RegionSink = {
    open: (region, mark, groups) => {
      this.#anchor = '';
      const { calls } = region;
      if (region.channel === 'verbatim') this.#text.push(mark);
      else this.#mark();
      if (!calls) return;
      const makeReader = (): CallReader => this.#makeReader(calls, mark, groups);
      this.#call = { makeReader, reader: makeReader(), text: '' };
    },
    text: (region, text) => {
      if (region && this.#call) {
        if (this.#isInPrompt) this.#call.text += text;
        const taken = this.#call.reader.push(text);
        if (taken < text.length) this.#call = undefined;
        return taken;
      }
      const channel = region?.channel === 'reasoning' ? this.#reasoning : this.#text;
      if (region?.strips === false) channel.pushAll(text);
      else channel.push(this.#anchor + text);
      this.#anchor = '';
      return text.length;
    },
    close: (region, mark) => {
      this.#call?.reader.end(mark);
      this.#call = undefined;
      if (region.channel === 'verbatim') this.#text.push(mark);
      else if (mark !== '') this.#mark();
    },
    anchor: (mark) => {
      this.#text.push(this.#anchor);
      this.#anchor = mark;
    },
  };

  #mark(): void {
    this.#text.mark();
    this.#reasoning.mark();
  }

  #makeReader(format: CallFormat, mark: string, groups: ReadonlyMap<string, string>): CallReader {
    const tools = this.#settings.tools as ToolParameters;
    const { content, settings, shape } = format;
    const isDialect = settings.string_delims !== undefined || settings.unquoted_keys === true;
    if (content !== 'json' || isDialect) return new WholeCallReader({ format, mark, groups, tools }, this.#callSink);
    const names = mark.trim() === '' ? tools.names : undefined;
    return new JsonCallReader({ shape, mark, groups, names }, this.#callSink);
  }

  readonly #callSink: CallSink = {
    call: (name, id) => {
      if (this.#isInPrompt) return;
      const index = this.#calls++;
      this.#sink.call({ index, id: id ?? makeId(this.#settings.template.hasShortIds), name, arguments: '' });
    },
    arguments: (text) => {
      if (!this.#isInPrompt) this.#sink.call({ index: this.#calls - 1, arguments: text });
    },
    text: (text) => {
      if (!this.#isInPrompt) this.#text.push(text);
    },
  };
}

const MAX_START = 65_536; // in UTF-16 units; what an answer begins with is at the end of the prompt

/** What of the answer the prompt has. */
export function startOfAnswer({ startAnchor }: CompiledTemplate, prompt: string): string {
  const tail = prompt.slice(-MAX_START);
  let end = tail.length; // without the anchor nothing in the prompt is known to be of the answer
  for (const match of allMatches(startAnchor, tail)) end = match.end;
  return tail.slice(end);
}

const ID_CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function makeId(isShort: boolean): string {
  const random = webcrypto.getRandomValues(new Uint8Array(isShort ? 9 : 24));
  const characters = Array.from(random, (byte) => ID_CHARACTERS[byte % ID_CHARACTERS.length]).join('');
  return isShort ? characters : `call_${characters}`;
}
