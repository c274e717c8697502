// Parts of regular expressions, by Python's rules.

/** What stands between brackets. */
export const WHITESPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const LINE_ENDS = '\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029';
export const LINE_END = `(?:\\r\\n|[${LINE_ENDS}])`;
export const LINE = `[^${LINE_ENDS}]*`;
