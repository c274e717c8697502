import type { Costs } from './costs.js';
import { defined, Float, isTuple, type Named, numberOf, TemplateError, toInt, typeName, type Value } from './values.js';
import { floatText, repr, str } from './write.js';

const PERCENT = /%(?:\((.*?)\))?([-+ #0]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g;
const FIELD = /\{\{|\}\}|\{([^{}:!]*)(?:!([rs]))?(?::([^{}]*))?\}|[{}]/g;
const SPEC = /^(?:(.)?([<>^=]))?([-+ ])?(0)?(\d+)?(,)?(?:\.(\d+))?([a-zA-Z%])?$/su;

interface Spec {
  readonly type: string | undefined;
  readonly precision: number | undefined;
  readonly sign: string;
  readonly groups: boolean;
}

/** Python's `text % values`. */
export function formatPercent(text: string, values: Value, costs: Costs): string {
  costs.changed(text.length);
  const list: readonly Value[] = isTuple(values) ? (values as Value[]) : [values];
  let used = 0;
  const made = text.replace(
    PERCENT,
    (directive, key: string | undefined, flags: string, width, precision, type: string) => {
      costs.meter.charge(1);
      if (type === '%') return '%';
      let value: Value | undefined;
      if (key !== undefined) value = values instanceof Map ? values.get(key) : undefined;
      else value = list[used++];
      if (value === undefined) throw new TemplateError(`not enough arguments for ${directive}`);
      const sign = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-';
      const spec: Spec = { type, precision: precision && Number(precision), sign, groups: false };
      const isText = type === 's' || type === 'r' || type === 'a';
      const written = isText
        ? (type === 's' ? str(value, costs) : repr(value, costs)).slice(0, spec.precision)
        : formatNumber(type === 'd' || type === 'i' || type === 'u' ? truncated(value) : value, spec);
      return pad(written, Number(width ?? 0), {
        align: flags.includes('-') ? '<' : flags.includes('0') && !isText ? '=' : '>',
        fill: flags.includes('0') && !isText && !flags.includes('-') ? '0' : ' ',
        costs,
      });
    },
  );
  if (used < list.length && !(values instanceof Map) && !(used === 0 && Array.isArray(values) && !isTuple(values))) {
    throw new TemplateError('not all arguments converted during string formatting');
  }
  return costs.made(made);
}

function truncated(value: Value): Value {
  const number = numberOf(value);
  if (number === undefined) throw new TemplateError(`%d format: a real number is required, not ${typeName(value)}`);
  return Math.trunc(number);
}

/** Python's `text.format(...)`, without attributes and items of fields. */
export function formatFields(text: string, args: readonly Value[], named: Named, costs: Costs): string {
  costs.changed(text.length);
  let used = 0;
  const made = text.replace(FIELD, (all, name?: string, conversion?: string, spec = '') => {
    costs.meter.charge(1);
    if (all === '{{' || all === '}}') return all[0] as string;
    if (name === undefined) throw new TemplateError(`a single '${all}' in a format string`);
    const key = name === '' ? String(used++) : name;
    const value = /^\d+$/.test(key) ? args[Number(key)] : named.get(key);
    if (value === undefined) throw new TemplateError(`format has no value for {${name}}`);
    return formatValue(
      conversion === 'r' ? repr(value, costs) : conversion === 's' ? str(value, costs) : value,
      spec,
      costs,
    );
  });
  return costs.made(made);
}

function formatValue(value: Value, spec: string, costs: Costs): string {
  const found = SPEC.exec(spec);
  if (!found) throw new TemplateError(`unknown format '${spec}'`);
  const [, fill, align, sign = '-', zero, width = '0', groups, precision, type] = found;
  const number = typeof value === 'boolean' && type === undefined ? undefined : numberOf(value);
  const isNumber = number !== undefined && type !== 's';
  const written = isNumber
    ? formatNumber(value, {
        type,
        precision: precision === undefined ? undefined : Number(precision),
        sign,
        groups: groups !== undefined,
      })
    : str(value, costs).slice(0, precision === undefined ? undefined : Number(precision));
  return pad(written, Number(width), {
    align: align ?? (zero ? '=' : isNumber ? '>' : '<'),
    fill: fill ?? (zero ? '0' : ' '),
    costs,
  });
}

function formatNumber(value: Value, { type, precision, sign, groups }: Spec): string {
  const number = numberOf(defined(value));
  if (number === undefined) throw new TemplateError(`must be real number, not ${typeName(value)}`);
  if (precision !== undefined && precision > 100)
    throw new TemplateError(`a precision of ${precision}; expected at most 100`);
  let text = digitsOf(Math.abs(number), value, type, precision);
  if (groups) text = text.replace(/^\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ','));
  const isNegative = number < 0 || Object.is(number, -0);
  return (isNegative ? '-' : sign === '-' ? '' : sign) + text;
}

function digitsOf(number: number, value: Value, type: string | undefined, precision: number | undefined): string {
  switch (type) {
    case 'f':
    case 'F':
      return fixed(number, precision ?? 6);
    case '%':
      return `${fixed(number * 100, precision ?? 6)}%`;
    case 'e':
      return number.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2');
    case 'x':
      return toInt(value, 'the value').toString(16).replace('-', '');
    case 'X':
      return toInt(value, 'the value').toString(16).replace('-', '').toUpperCase();
    case 'o':
      return toInt(value, 'the value').toString(8).replace('-', '');
    case 'b':
      return toInt(value, 'the value').toString(2).replace('-', '');
    case undefined:
    case 'd':
    case 'i':
    case 'u':
      if (precision !== undefined) return floatText(Number(number.toPrecision(precision)));
      return value instanceof Float ? floatText(number) : String(number);
    default:
      throw new TemplateError(`unknown format code '${type}'`);
  }
}

/** Rounds as Python does: what is just between two goes to the even one. */
export function fixed(number: number, places: number): string {
  const text = number.toFixed(places);
  const halves = number * 2 ** (places + 1); // exact
  const isBetween = Number.isInteger(halves) && halves % 2 !== 0;
  return isBetween ? text.replace(/[13579]$/, (digit) => String(Number(digit) - 1)) : text;
}

interface Padding {
  /** `=` puts the fill behind the sign. */
  readonly align: string;
  readonly fill: string;
  readonly costs: Costs;
}

function pad(text: string, width: number, { align, fill, costs }: Padding): string {
  const missing = width - [...text.slice(0, width)].length - Math.max(0, text.length - width);
  if (missing <= 0) return text;
  if (align === '^') {
    const left = missing >> 1;
    return costs.repeat(fill, left) + text + costs.repeat(fill, missing - left);
  }
  const space = costs.repeat(fill, missing);
  if (align === '<') return text + space;
  const sign = align === '=' ? (/^[-+ ]/.exec(text)?.[0] ?? '') : '';
  return sign + space + text.slice(sign.length);
}
