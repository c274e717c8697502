/** Finds the end of a JSON value, of which it follows only strings and brackets. */
export class ValueScanner {
  isContainer = false;
  #isString = false;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  begin(char: string): void {
    this.isContainer = char === '{' || char === '[';
    this.#isString = char === '"';
    this.#depth = 0;
    this.#isInString = false;
    this.#isEscaped = false;
  }

  /** Whether the value, which is a number or a name, ended before this character. */
  endsBefore(char: string): boolean {
    return !this.isContainer && !this.#isString && (isSpace(char) || ',}]'.includes(char));
  }

  endsAfter(char: string): boolean {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (char === '\\') this.#isEscaped = true;
      else if (char === '"') this.#isInString = false;
      return this.#isString && !this.#isInString;
    }
    if (char === '"') this.#isInString = true;
    else if (char === '{' || char === '[') this.#depth++;
    else if (char === '}' || char === ']') this.#depth--;
    return this.isContainer && this.#depth === 0 && !this.#isInString;
  }
}

export const isSpace = (char: string): boolean => char === ' ' || char === '\n' || char === '\t' || char === '\r';

/** What a JSON string says; undefined for what is none. */
export function textOf(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
