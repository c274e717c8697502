import { boundedText, check, enumerator, group, invalidOption, type Readers, readAs, text } from '../base/checks.js';
import { LLMError, messageOf } from '../base/errors.js';

/** What the output must be. Set exactly one; its text has at most 1,048,576 characters. */
export interface GuidedOptions {
  /** Any JSON. Default: none. */
  json?: true | undefined;
  /** JSON that matches this schema. Default: none. */
  jsonSchema?: string | Readonly<Record<string, unknown>> | undefined;
  /** Text that matches this regular expression from start to end. Default: none. */
  regex?: string | undefined;
  /** Text that matches this grammar, in the EBNF of the backend. Default: none. */
  grammar?: string | undefined;
  /** Free text with tags whose content matches a schema, in XGrammar's structural tag format. Default: none. */
  structuralTag?: string | Readonly<Record<string, unknown>> | undefined;
}

const MAX_LENGTH = 1_048_576; // in UTF-16 code units

/** As the addon takes it. */
export interface NativeGuide {
  /** An ExecutorGuide. */
  kind: number;
  guide: string | undefined;
}

const isJson = (value: unknown): value is string | Readonly<Record<string, unknown>> =>
  (typeof value === 'string' && value !== '') || (typeof value === 'object' && value !== null && !Array.isArray(value));
const json = readAs(check('an object, or its JSON text', isJson), (value, name) => {
  try {
    return boundedText(typeof value === 'string' ? value : JSON.stringify(value), MAX_LENGTH, name);
  } catch (cause) {
    if (LLMError.is(cause)) throw cause;
    throw invalidOption(name, `has no JSON text (${messageOf(cause)}); expected an object that JSON can write.`);
  }
});

/** By the numbers of ExecutorGuide in native/executor/request.h. */
const guideChecks = {
  json: check('true', (value): value is true => value === true),
  jsonSchema: json,
  regex: text(MAX_LENGTH),
  grammar: text(MAX_LENGTH),
  structuralTag: json,
} satisfies Readers<GuidedOptions>;

const guideGroup = group(guideChecks);

export const guided = {
  ...guideGroup,
  read: (given: GuidedOptions, name: string): NativeGuide => {
    const read = guideGroup.read(given, name) ?? {};
    const [found, ...more] = Object.entries(read);
    if (!found || more.length > 0) {
      const names = Object.keys(guideChecks).join(', ');
      throw invalidOption(
        name,
        `has ${Object.keys(read).join(' and ') || 'nothing set'}; expected exactly one of ${names}.`,
      );
    }
    const [kind, guide] = found;
    return {
      kind: Object.keys(guideChecks).indexOf(kind),
      guide: typeof guide === 'string' ? guide : undefined,
    };
  },
};

/** The backend that enforces `guided`, by the numbers of ExecutorGuidedBackend in native/executor/config.h. */
export const guidedBackend = enumerator(['xgrammar', 'llguidance']);
