/** What is wrong with a response template. */
export class TemplateFault extends Error {
  constructor(
    /** Of the template; empty for the whole. */
    readonly part: string,
    readonly found: string,
  ) {
    super(part === '' ? `it ${found}` : `${part} ${found}`);
  }

  /** The same, seen from what the part is in. */
  within(outer: string): TemplateFault {
    return new TemplateFault(this.part === '' ? outer : `${outer}.${this.part}`, this.found);
  }
}
