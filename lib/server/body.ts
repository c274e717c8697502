import * as v from 'valibot';
import { badField, HttpError } from './http-error.js';

const MAX_FIELDS = 256;

/** More than any chat template gets through. */
export const MAX_ITEMS = 16_384;

/** A list whose length is checked before its items: looking at a million of them would hold up the event loop. */
export const list = <Item extends v.GenericSchema>(item: Item) =>
  v.pipe(
    v.custom<unknown[]>((value) => Array.isArray(value) && value.length <= MAX_ITEMS),
    v.array(item),
  );

/**
 * A request's body.
 * @throws {HttpError} 413 if it has more than `maxBytes`.
 */
export async function readBytes(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = (): HttpError =>
    new HttpError(413, `The body has more than ${maxBytes} bytes. Send less text.`, { code: 'request_too_large' });
  if (Number(request.headers.get('content-length')) > maxBytes) throw tooLarge();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += piece.byteLength;
    if (bytes > maxBytes) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces, bytes);
}

/** Fields of a JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * The JSON object in a request's body, without fields that are null: clients send them for what is left out.
 * @throws {HttpError} 400 if it is not a JSON object.
 */
export function parseFields(body: Uint8Array): Fields {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new HttpError(400, `The body is not JSON: ${(cause as Error).message}.`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new HttpError(400, 'The body is not a JSON object; expected the fields of the request.');
  }
  const { length } = Object.keys(value);
  if (length > MAX_FIELDS) throw new HttpError(400, `The body has ${length} fields; expected at most ${MAX_FIELDS}.`);
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}

/** Fields that would change the answer, and what to do instead. */
export type Refused = Readonly<Record<string, string>>;

/** @throws {HttpError} 400 naming the field, what it is and what is expected. */
export function readFields<S extends v.GenericSchema>(
  body: Fields,
  schema: S,
  refused: Refused = {},
): v.InferOutput<S> {
  for (const field of Object.keys(body)) {
    const fix = Object.hasOwn(refused, field) ? refused[field] : undefined;
    if (fix !== undefined && body[field] !== false)
      throw badField(field, `is not supported. ${fix}`, 'unsupported_parameter');
  }
  const { success, output, issues } = v.safeParse(schema, body, { abortEarly: true });
  if (success) return output;
  throw wrongField(issues[0]);
}

const MAX_SHOWN = 80;

/** Of fields that are looked at closely elsewhere. */
const EXPECTED: Readonly<Record<string, string>> = {
  prompt: 'a text, token ids, or several of either',
  tokens: 'token ids',
  input: 'a text or items',
  logit_bias: 'an object of numbers by token id',
};

function wrongField(issue: v.BaseIssue<unknown>): HttpError {
  // In a union the alternative that failed deepest is the one that was meant.
  const inner = issue.issues?.toSorted((a, b) => (b.path?.length ?? 0) - (a.path?.length ?? 0))[0];
  if (inner?.path) return wrongField({ ...inner, path: [...(issue.path ?? []), ...inner.path] as typeof issue.path });
  let param = '';
  for (const { key } of issue.path ?? []) {
    if (typeof key === 'number') param += `[${key}]`;
    else param += param === '' ? String(key) : `.${String(key)}`;
  }
  if (issue.expected === 'never') return badField(param, 'is not a known field. Leave it out.', 'unknown_parameter');
  if (issue.received === 'undefined') return badField(param, 'is missing. Add it.');
  const expected = EXPECTED[param] ?? issue.expected?.replace('unknown', `an array of at most ${MAX_ITEMS} items`);
  const { received } = issue;
  const found = received.length > MAX_SHOWN ? `${received.slice(0, MAX_SHOWN - 3)}...` : received;
  return badField(param, `is ${found}; expected ${expected}.`);
}
