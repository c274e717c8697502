const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

type Field = string | readonly [value: number, digits: number, fill?: string];

const FIELDS: Readonly<Record<string, (date: Date) => Field>> = {
  a: (date) => String(DAYS[date.getDay()]).slice(0, 3),
  A: (date) => String(DAYS[date.getDay()]),
  b: (date) => String(MONTHS[date.getMonth()]).slice(0, 3),
  B: (date) => String(MONTHS[date.getMonth()]),
  d: (date) => [date.getDate(), 2],
  e: (date) => [date.getDate(), 2, ' '],
  f: (date) => [date.getMilliseconds() * 1000, 6],
  h: (date) => String(MONTHS[date.getMonth()]).slice(0, 3),
  H: (date) => [date.getHours(), 2],
  I: (date) => [date.getHours() % 12 || 12, 2],
  j: (date) => [dayOfYear(date), 3],
  m: (date) => [date.getMonth() + 1, 2],
  M: (date) => [date.getMinutes(), 2],
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  S: (date) => [date.getSeconds(), 2],
  u: (date) => [date.getDay() || 7, 1],
  w: (date) => [date.getDay(), 1],
  y: (date) => [date.getFullYear() % 100, 2],
  Y: (date) => [date.getFullYear(), 4],
  z: () => '', // a time without a zone, as in transformers
  Z: () => '',
  '%': () => '%',
};

const COMPOSED: Readonly<Record<string, string>> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  R: '%H:%M',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
};

/**
 * Local time in the format of C's strftime, in English; `%-d` leaves out the leading zero.
 * @throws {Error} for a directive it does not know.
 */
export const strftime = (date: Date, format: string): string =>
  format.replace(/%(-?)([^-])/g, (directive, minus: string, letter: string) => {
    const composed = COMPOSED[letter];
    if (composed !== undefined) return strftime(date, composed);
    const field = FIELDS[letter]?.(date);
    if (field === undefined) throw new Error(`strftime_now does not know ${directive}`);
    if (typeof field === 'string') return field;
    const [value, digits, fill = '0'] = field;
    return String(value).padStart(minus ? 1 : digits, fill);
  });

function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (day - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000 + 1;
}
