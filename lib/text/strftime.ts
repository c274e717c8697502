const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

const FIELDS: Readonly<Record<string, (date: Date) => string | [value: number, digits: number]>> = {
  a: (date) => String(DAYS[date.getDay()]).slice(0, 3),
  A: (date) => String(DAYS[date.getDay()]),
  b: (date) => String(MONTHS[date.getMonth()]).slice(0, 3),
  B: (date) => String(MONTHS[date.getMonth()]),
  d: (date) => [date.getDate(), 2],
  H: (date) => [date.getHours(), 2],
  I: (date) => [date.getHours() % 12 || 12, 2],
  m: (date) => [date.getMonth() + 1, 2],
  M: (date) => [date.getMinutes(), 2],
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  S: (date) => [date.getSeconds(), 2],
  y: (date) => [date.getFullYear() % 100, 2],
  Y: (date) => [date.getFullYear(), 4],
  '%': () => '%',
};

/**
 * Local time in the format of C's strftime, in English; `%-d` leaves out the leading zero.
 * @throws {Error} for a directive it does not know.
 */
export const strftime = (date: Date, format: string): string =>
  format.replace(/%(-?)([^-])/g, (directive, minus: string, letter: string) => {
    const field = FIELDS[letter]?.(date);
    if (field === undefined) throw new Error(`strftime_now does not know ${directive}`);
    return typeof field === 'string' ? field : String(field[0]).padStart(minus ? 1 : field[1], '0');
  });
