import type { Random } from './random.js';

const NUMBERS = ['0', '1', '2', '-1', '7', '16', '1000', '100000', '9007199254740993', '0.5', '1e9'];
const TEXTS = ["''", "'a'", "' '", "'a b\\nc'", "'</think>'", "'\\u00df\\u65e5'", "'.a'", "'role'"];
const NAMES = [
  'messages',
  'tools',
  'ns',
  'ns.s',
  'ns.l',
  'loop',
  'loop.index',
  'x',
  'y',
  'f',
  'caller',
  'namespace',
  'range',
  'undefined',
];
const FIELDS = [
  'role',
  'content',
  'length',
  'items',
  'get',
  'upper',
  'split',
  'replace',
  's',
  'l',
  '__proto__',
  'constructor',
  '0',
  'zz',
];
const OPERATORS = ['+', '-', '*', '/', '//', '%', '**', '~', '==', '!=', '<', '>=', 'in', 'not in', 'and', 'or'];
const FILTERS =
  'batch center groupby format max min reject round sum truncate urlencode wordcount escape list first last length reverse sort join string unique upper lower title capitalize trim indent int float abs items dictsort keys values tojson safe bool default map selectattr rejectattr replace zz'.split(
    ' ',
  );
const ARGUMENTS = [
  'indent',
  'width',
  'separator',
  'attribute',
  'reverse',
  'boolean',
  'sort_keys',
  'ensure_ascii',
  'separators',
  'count',
  'default',
  'by',
];
const METHODS = [
  'upper',
  'lower',
  'strip',
  'lstrip',
  'title',
  'startswith',
  'endswith',
  'split',
  'replace',
  'items',
  'keys',
  'values',
  'get',
  'dictsort',
  'format',
  'center',
  'zfill',
  'expandtabs',
  'splitlines',
  'rsplit',
  'partition',
  'find',
  'rfind',
  'count',
  'index',
  'join',
  'removeprefix',
  'isalnum',
  'casefold',
  'swapcase',
  'istitle',
];
const TESTS = [
  'divisibleby',
  'sameas',
  'in',
  'sequence',
  'defined',
  'string',
  'mapping',
  'iterable',
  'lower',
  'upper',
  'odd',
  'none',
  'zz',
];

/** A text and a list that double, so that single operations have much to do. */
const GROWN = (random: Random): string =>
  `{% for i in range(${random.below(26)}) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}` +
  `{% for i in range(${random.below(22)}) %}{% set ns.l = ${random.pick(['ns.l + ns.l', '[ns.l, ns.l]', 'ns.l + [ns.s ~ i]'])} %}{% endfor %}`;

export function templateSource(random: Random): string {
  const seed = `{% set ns = namespace(s=${random.pick(TEXTS)}, l=[${expression(random, 1)}]) %}`;
  return seed + GROWN(random) + statements(random, random.below(3));
}

function statements(random: Random, depth: number): string {
  let source = '';
  for (let left = 1 + random.below(2); left > 0; left--) source += statement(random, depth);
  return source;
}

function statement(random: Random, depth: number): string {
  const value = (): string => expression(random, 3);
  if (depth === 0) return `{{ ${value()} }}`;
  const body = (): string => statements(random, depth - 1);
  return random.pick<() => string>([
    () => `{{ ${value()} }}`,
    () => `{% set ${random.pick(['x', 'ns.s', 'ns.l', 'x, y'])} = ${value()} %}`,
    () => `{% set x %}${body()}{% endset %}`,
    () => `{% if ${value()} %}${body()}{% elif ${value()} %}${body()}{% else %}${body()}{% endif %}`,
    () => `{% for x in ${value()} %}${body()}{% endfor %}`,
    () => `{% for x, y in ${value()} %}${body()}{% else %}${body()}{% endfor %}`,
    () => `{% for x in ${value()} if ${value()} %}${body()}{% endfor %}`,
    () =>
      `{% for x in range(${random.pick(NUMBERS)}) %}${body()}${random.pick(['', '{% continue %}', '{% break %}'])}{% endfor %}`,
    () => `{% macro f(x, y=${value()}) %}${body()}{% endmacro %}{{ f(${value()}) }}`,
    () => `{% call(x) f(${value()}) %}${body()}{% endcall %}`,
    () => `{% filter ${random.pick(FILTERS)}${callOf(random, 1)} %}${body()}{% endfilter %}`,
    () =>
      random.pick(['{{', '{%', '{% endfor %}', '{# c #}', '   {%- if x -%}\n', '{% generation %}', '\n \n', 'text']),
  ])();
}

/** Mostly of the right types, so that it comes to work with large values; now and then anything at all. */
function expression(random: Random, depth: number): string {
  if (random.oneIn(12)) return wild(random, depth);
  return random.pick([text, text, list, list, truth])(random, depth);
}

function text(random: Random, depth: number): string {
  if (depth <= 0) return random.pick(['ns.s', 'ns.s', random.pick(TEXTS)]);
  const part = (): string => text(random, depth - 1);
  return random.pick<() => string>([
    part,
    () => `(${part()} ~ ${part()})`,
    () =>
      `(${part()} | ${random.pick(['upper', 'lower', 'title', 'capitalize', 'trim', 'indent', 'string', 'join', 'tojson'])})`,
    () =>
      `(${part()} | ${random.pick([`indent(${number(random)})`, `replace(${part()}, ${part()})`, `join(${part()})`])})`,
    () => `${part()}.${random.pick(['upper()', 'title()', 'strip()', 'rstrip()', `replace(${part()}, ${part()})`])}`,
    () => `${part()}[${number(random)}:${random.pick(['', number(random)])}${random.pick(['', ':2', ':-1'])}]`,
    () =>
      `(${list(random, depth - 1)} | ${random.pick(['join', `join(${part()})`, 'string', 'tojson', `tojson(indent=${number(random)})`, 'tojson(ensure_ascii=true)', 'tojson(sort_keys=true)'])})`,
    () => `(${part()} if ${truth(random, depth - 1)} else ${part()})`,
  ])();
}

function list(random: Random, depth: number): string {
  if (depth <= 0) return random.pick(['ns.l', 'ns.l', 'messages', '[1]', `range(${number(random)})`]);
  const part = (): string => list(random, depth - 1);
  return random.pick<() => string>([
    part,
    () => `(${part()} + ${part()})`,
    () => `[${expression(random, depth - 1)}, ${part()}]`,
    () =>
      `(${part()} | ${random.pick(['reverse', 'sort', 'unique', 'list', "map(attribute='role')", "selectattr('role')", "selectattr('role', 'equalto', 'user')", "sort(attribute='role')"])})`,
    () => `${text(random, depth - 1)}.split(${random.pick(['', text(random, depth - 1)])})`,
    () => `${part()}[${number(random)}:${random.pick(['', number(random)])}]`,
    () => `(messages[0] | ${random.pick(['items', 'dictsort', "dictsort(by='value')"])})`,
  ])();
}

function truth(random: Random, depth: number): string {
  const a = text(random, depth - 1);
  return random.pick<() => string>([
    () => `(${a} in ${random.pick([text, list])(random, depth - 1)})`,
    () => `(${a} == ${random.pick([text, list])(random, depth - 1)})`,
    () => `(${a} is ${random.pick(TESTS)})`,
    () => `${a}.startswith(${random.pick([text, list])(random, depth - 1)})`,
    () => `(${random.pick([text, list])(random, depth - 1)} | length > ${number(random)})`,
  ])();
}

const number = (random: Random): string => random.pick(NUMBERS.slice(0, 8));

function wild(random: Random, depth: number): string {
  if (depth <= 0) return random.pick([random.pick(NUMBERS), random.pick(TEXTS), random.pick(NAMES)]);
  const part = (): string => expression(random, depth - 1);
  return random.pick<() => string>([
    () => `(${part()} ${random.pick(OPERATORS)} ${part()})`,
    () => `(${part()} | ${random.pick(FILTERS)}${callOf(random, depth - 1)})`,
    () => `${part()}.${random.pick(METHODS)}(${argumentsOf(random, depth - 1)})`,
    () => `${part()}.${random.pick(FIELDS)}`,
    () => `${part()}[${part()}]`,
    () => `{${random.pick(TEXTS)}: ${part()}}`,
    () =>
      `${random.pick(['range', 'namespace', 'f', 'strftime_now', 'raise_exception'])}(${argumentsOf(random, depth - 1)})`,
  ])();
}

const callOf = (random: Random, depth: number): string => (random.oneIn(2) ? '' : `(${argumentsOf(random, depth)})`);

function argumentsOf(random: Random, depth: number): string {
  const one = (): string => expression(random, Math.max(0, depth));
  return random.pick<() => string>([
    () => '',
    one,
    () => `${one()}, ${one()}`,
    () => `${random.pick(ARGUMENTS)}=${one()}`,
    () => `${one()}, ${random.pick(ARGUMENTS)}=${one()}`,
    () => `*${one()}`,
  ])();
}
