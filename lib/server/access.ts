import { createHash, timingSafeEqual } from 'node:crypto';
import { HttpError } from './http-error.js';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A check of the API key that takes the same time whatever key is sent. */
export function keyCheck(keys: readonly string[]): (request: Request) => void {
  const digests = keys.map(digest);
  return (request) => {
    if (digests.length === 0) return;
    const [, sent = ''] = /^Bearer (.*)$/i.exec(request.headers.get('authorization') ?? '') ?? [];
    const given = digest(sent);
    let isKnown = false;
    for (const each of digests) isKnown = timingSafeEqual(each, given) || isKnown;
    if (isKnown) return;
    const found = sent === '' ? 'The API key is missing' : 'The API key is wrong';
    const message = `${found}; expected the header "Authorization: Bearer KEY".`;
    throw new HttpError(401, message, { code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } });
  };
}

/**
 * A check of the host that a browser believes it talks to. Without it any web page can reach a server on loopback, by a name
 * of its own that resolves to 127.0.0.1.
 */
export function hostCheck(allowed: readonly string[] | undefined): (request: Request) => void {
  const names = allowed && new Set(allowed.map((name) => name.toLowerCase()));
  const check = (header: string, url: string): void => {
    const name = URL.canParse(url) ? new URL(url).hostname : url;
    if (names?.has(name)) return;
    const message = `${header} is ${JSON.stringify(name)}; expected one of ${[...(names ?? [])].join(', ')}.`;
    throw new HttpError(403, message, { code: 'host_not_allowed' });
  };
  return (request) => {
    if (!names) return;
    const host = request.headers.get('host');
    check('The host', host === null ? request.url : `http://${host}`);
    const origin = request.headers.get('origin');
    if (origin !== null) check('The origin', origin);
  };
}
