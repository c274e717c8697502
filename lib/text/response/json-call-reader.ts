import type { CallReader, CallSink } from './call-reader.js';
import type { CallShape, Source } from './call-shape.js';
import { isSpace, textOf, ValueScanner } from './json-value.js';

export interface JsonCallSettings {
  readonly shape: CallShape;
  /** The opening mark, as it was written. */
  readonly mark: string;
  /** What its named groups matched. */
  readonly groups: ReadonlyMap<string, string>;
  /**
   * Names of tools, for a region that has no mark of its own. Then what names another tool is no call, and neither is an object
   * with keys that calls do not have.
   */
  readonly names: ReadonlySet<string> | undefined;
}

type State = 'between' | 'key' | 'colon' | 'value' | 'in value' | 'after value';
type Kind = 'key' | 'name' | 'id' | 'arguments' | 'other';

/** Keys of calls that say nothing. */
const PLAIN_KEYS = ['type', 'id'];
const SYNONYMS: Readonly<Record<string, string>> = { arguments: 'parameters', parameters: 'arguments' };

/**
 * Reads calls in JSON, one or several in a row or in a list, and hands out their arguments as they come, as the model wrote them.
 * Arguments are not checked: only where they end is looked for. A call counts as one once its name and the start of its arguments
 * are known; what breaks before that is text.
 */
export class JsonCallReader implements CallReader {
  readonly #sink: CallSink;
  readonly #settings: JsonCallSettings;
  #state: State = 'between';
  #isInList = false;
  #calls = 0;
  /** What was read since the last call ended, as long as it is not known to be a call. */
  #raw: string;
  /** Keys of the objects that the reader is in. */
  #path: string[] = [];
  #kind: Kind = 'other';
  #value = new ValueScanner();
  /** The text of the value, where it is needed at its end. */
  #text = '';
  #name: string | undefined;
  #id: string | undefined;
  /** Arguments that could not be handed out as they came: before the name, or as a text. */
  #early: string | undefined;
  #isOpen = false;
  /** Of the arguments, what was not handed out. */
  #slice = '';

  constructor(settings: JsonCallSettings, sink: CallSink) {
    this.#settings = settings;
    this.#sink = sink;
    this.#raw = settings.mark;
  }

  push(text: string): number {
    for (let i = 0; i < text.length; i++) {
      const char = text[i] as string;
      const before = this.#raw;
      if (!this.#isOpen) this.#raw += char;
      if (this.#step(char)) continue;
      this.#flush();
      this.#sink.text(before);
      return i;
    }
    this.#flush();
    return text.length;
  }

  end(mark: string): void {
    const isDone = this.#state === 'between' && this.#calls > 0;
    if (!this.#isOpen && !isDone) this.#sink.text(this.#raw + mark);
  }

  /** Whether the character is of the region. */
  #step(char: string): boolean {
    switch (this.#state) {
      case 'between':
        return this.#between(char);
      case 'key':
        if (isSpace(char)) return true;
        if (char === '}') return this.#endObject();
        return char === '"' && this.#beginValue('key', char);
      case 'colon':
        if (char === ':') this.#state = 'value';
        return char === ':' || isSpace(char);
      case 'value':
        return isSpace(char) || this.#beginMember(char);
      case 'in value':
        return this.#continueValue(char);
      case 'after value':
        if (char === ',') this.#state = 'key';
        return char === ',' || isSpace(char) || (char === '}' && this.#endObject());
    }
  }

  #between(char: string): boolean {
    const { keys } = this.#settings.shape.arguments;
    if (isSpace(char)) return true;
    if ((char === ',' || char === ';') && this.#calls > 0) return true;
    if (char === '[' && keys.length > 0 && !this.#isInList && this.#calls === 0) {
      this.#isInList = true;
      return true;
    }
    if (char === ']' && this.#isInList && this.#calls > 0) {
      this.#isInList = false;
      this.#raw = '';
      return true;
    }
    if (char !== '{') return false;
    this.#path = [];
    this.#name = this.#known(this.#settings.shape.name);
    this.#id = this.#settings.shape.id && this.#known(this.#settings.shape.id);
    this.#early = undefined;
    if (keys.length === 0) return this.#beginValue('arguments', char);
    this.#state = 'key';
    return true;
  }

  /** What is known before the content. */
  #known(source: Source): string | undefined {
    if ('text' in source) return source.text;
    return 'group' in source ? this.#settings.groups.get(source.group) : undefined;
  }

  #beginMember(char: string): boolean {
    if (char === ',' || char === '}' || char === ']') return false;
    const kind = this.#kindOf(this.#path);
    if (kind !== 'inside') return this.#beginValue(kind, char);
    if (char !== '{') return this.#beginValue('other', char);
    this.#state = 'key';
    return true;
  }

  #beginValue(kind: Kind, char: string): boolean {
    this.#kind = kind;
    this.#text = '';
    this.#value.begin(char);
    this.#state = 'in value';
    if (kind === 'arguments' && (char === '[' || this.#isOpen || this.#early !== undefined)) return false;
    const isStreamed = kind === 'arguments' && char === '{' && this.#name !== undefined;
    if (isStreamed && !this.#open(this.#name as string)) return false;
    return this.#addToValue(char);
  }

  #continueValue(char: string): boolean {
    if (!this.#value.endsBefore(char)) return this.#addToValue(char);
    return this.#endValue() && this.#step(char);
  }

  #addToValue(char: string): boolean {
    if (this.#kind === 'arguments' && this.#isOpen) this.#slice += char;
    else if (this.#kind !== 'other') this.#text += char;
    return !this.#value.endsAfter(char) || this.#endValue();
  }

  /** Whether the value can stand where it does. */
  #endValue(): boolean {
    const text = this.#text;
    this.#state = this.#kind === 'key' ? 'colon' : 'after value';
    switch (this.#kind) {
      case 'key': {
        const key = textOf(text);
        if (key === undefined || !this.#allows(key)) return false;
        this.#path.push(key);
        return true;
      }
      case 'name': {
        this.#name = textOf(text);
        if (this.#name === undefined || this.#settings.names?.has(this.#name) === false) return false;
        if (this.#early !== undefined && !this.#open(this.#name)) return false;
        break;
      }
      case 'id':
        this.#id = textOf(text) || undefined;
        break;
      case 'arguments':
        if (!this.#isOpen && !this.#endArguments(text)) return false;
        break;
      default:
    }
    if (this.#kind === 'arguments' && this.#settings.shape.arguments.keys.length === 0) return this.#endCall();
    this.#path.pop();
    return true;
  }

  /** Of arguments that were not handed out as they came. */
  #endArguments(written: string): boolean {
    this.#early = argumentsOf(written);
    if (this.#early === undefined) return false;
    return this.#name === undefined || this.#open(this.#name);
  }

  #allows(key: string): boolean {
    if (!this.#settings.names || this.#isOpen) return true;
    return PLAIN_KEYS.includes(key) || this.#kindOf([...this.#path, key]) !== 'other';
  }

  #endObject(): boolean {
    if (this.#path.length > 0) {
      this.#path.pop();
      this.#state = 'after value';
      return true;
    }
    if (!this.#isOpen) {
      if (this.#name === undefined || !this.#open(this.#name)) return false;
      this.#slice ||= '{}'; // it has no arguments
    }
    return this.#endCall();
  }

  #open(name: string): boolean {
    if (this.#settings.names?.has(name) === false) return false;
    this.#sink.call(name, this.#id);
    this.#isOpen = true;
    this.#raw = '';
    this.#slice = this.#early ?? '';
    return true;
  }

  #endCall(): boolean {
    this.#flush();
    this.#isOpen = false;
    this.#calls++;
    this.#raw = '';
    this.#state = 'between';
    return true;
  }

  #flush(): void {
    if (this.#slice !== '') this.#sink.arguments(this.#slice);
    this.#slice = '';
  }

  #kindOf(path: readonly string[]): Exclude<Kind, 'key'> | 'inside' {
    const { shape } = this.#settings;
    const args = shape.arguments.keys;
    if (isEqual(path, args) || isEqual(path, synonymOf(args))) return 'arguments';
    const sources = [shape.name, shape.id].map((source) => (source && 'keys' in source ? source.keys : undefined));
    if (isEqual(path, sources[0])) return 'name';
    if (isEqual(path, sources[1])) return 'id';
    const isInside = [args, ...sources].some((keys) => keys && isEqual(path, keys.slice(0, path.length)));
    return isInside ? 'inside' : 'other';
  }
}

const isEqual = (one: readonly string[], other: readonly string[] | undefined): boolean =>
  other !== undefined && one.length === other.length && one.every((key, i) => key === other[i]);

/** Models mix the two up. */
function synonymOf(keys: readonly string[]): readonly string[] | undefined {
  const synonym = SYNONYMS[keys.at(-1) ?? ''];
  return synonym === undefined ? undefined : [...keys.slice(0, -1), synonym];
}

/** Some models write the arguments as a text in turn, or null where there are none. Undefined for what is none of these. */
function argumentsOf(json: string): string | undefined {
  if (json === 'null') return '{}';
  const text = json.startsWith('"') ? textOf(json)?.trim() : json;
  return text?.startsWith('{') ? text : undefined;
}
