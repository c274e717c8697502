import assert from 'node:assert/strict';
import { type ErrorCode, LLMError } from '#lib/base/errors.js';

/** For assert.throws and assert.rejects: a typed error whose message names all of these. */
export const failsWith =
  (code: ErrorCode, ...named: (string | RegExp)[]) =>
  (error: unknown): true => {
    assert.ok(LLMError.is(error), `expected an LLMError, got ${error}`);
    assert.equal(error.code, code, error.message);
    for (const name of named) {
      const found = typeof name === 'string' ? error.message.includes(name) : name.test(error.message);
      assert.ok(found, `"${error.message}" does not name ${name}`);
    }
    return true;
  };

/** Likewise, and the error says which option it is about. */
export const failsAbout =
  (option: string, code: ErrorCode, ...named: (string | RegExp)[]) =>
  (error: unknown): true => {
    failsWith(code, ...named)(error);
    assert.equal(LLMError.is(error) ? error.option : undefined, option);
    return true;
  };
