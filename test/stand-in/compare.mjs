// Checks that each public declaration of the stand-in's headers is one of the real headers too: the same types, defaults and
// specifiers, data members in the same order. What only the real headers have is counted: the stand-in declares no more
// than is used. By hand, since nobody but NVIDIA gives the real ones out:
//   node test/stand-in/compare.mjs BUILT REAL [-isystem CUDA]...
// BUILT and REAL are include directories, BUILT of a stand-in of REAL's version; what follows goes to g++.
import { execFileSync } from 'node:child_process';

const HEADERS = ['executor/executor.h', 'plugins/api/tllmPlugin.h', 'common/tllmException.h'];
const [, , built, real, ...flags] = process.argv;
if (!real) {
  console.error('usage: node test/stand-in/compare.mjs BUILT_INCLUDE REAL_INCLUDE [g++ flags]');
  process.exit(2);
}

/** The preprocessed text of the headers that lie in `dir`, without what they include from elsewhere. */
const preprocess = (dir) => {
  const source = HEADERS.map((header) => `#include "tensorrt_llm/${header}"\n`).join('');
  const args = ['-E', '-std=c++17', '-x', 'c++', '-isystem', dir, ...flags, '-'];
  const text = execFileSync('g++', args, { input: source, encoding: 'utf8', maxBuffer: 2 ** 28 });
  let ours = false;
  return text
    .split('\n')
    .filter((line) => {
      const marker = /^# \d+ "(.*?)"/.exec(line);
      if (marker) ours = marker[1].startsWith(dir);
      return ours && !line.startsWith('#');
    })
    .join('\n');
};

const CLOSING = { '(': ')', '{': '}', '<': '>' };

/** Reads C++ declarations into a list of `{scope, text}`, public ones only. */
class Declarations {
  list = [];
  #tokens;
  #next = 0;

  constructor(source) {
    this.#tokens = source.match(/"(?:\\.|[^"\\])*"|[A-Za-z_]\w*|\d[\w.']*|::|\.\.\.|[^\s]/g) ?? [];
    this.#members('', 'public');
  }

  get #peek() {
    return this.#tokens[this.#next];
  }
  #take() {
    return this.#tokens[this.#next++];
  }

  /** The tokens of a bracketed group, brackets included. */
  #group() {
    const open = this.#take();
    const group = [open];
    while (this.#peek !== CLOSING[open]) {
      if (this.#peek === undefined) throw new Error(`no ${CLOSING[open]} for ${open}`);
      if (this.#peek in CLOSING && (this.#peek !== '<' || open === '<')) group.push(...this.#group());
      else group.push(this.#take());
    }
    group.push(this.#take());
    return group;
  }

  #members(scope, access) {
    while (this.#peek !== undefined && this.#peek !== '}') {
      if (/^(public|private|protected)$/.test(this.#peek)) {
        access = this.#take();
        this.#take();
      } else {
        this.#declaration(scope, access);
      }
    }
    this.#take();
  }

  #declaration(scope, access) {
    const head = [];
    if (this.#peek === 'template') head.push(this.#take(), ...this.#group());
    const kind = this.#peek;
    if (kind === ';') return this.#take();
    if (kind === 'namespace' || (kind === 'extern' && this.#tokens[this.#next + 2] === '{')) {
      const name = [];
      for (this.#take(); this.#peek !== '{'; ) name.push(this.#take());
      this.#take();
      return this.#members(kind === 'namespace' ? `${scope}${name.join('')}::` : scope, access);
    }
    const add = (tokens, where = scope) =>
      access === 'public' && this.list.push({ scope: where, text: tokens.join(' ') });
    if (/^(class|struct|enum)$/.test(this.#peek)) {
      head.length = 0;
      while (this.#peek !== '{' && this.#peek !== ';') head.push(this.#take());
      if (this.#take() === ';') return; // declared ahead
      add(head);
      const inner = `${scope}${head[head[0] === 'enum' && head[1] === 'class' ? 2 : 1]}::`;
      if (head[0] === 'enum') this.#enumerators(inner, add);
      else this.#members(inner, access === 'public' && head[0] === 'struct' ? 'public' : 'private');
      return;
    }
    let isFunction = false;
    while (this.#peek !== ';') {
      if (this.#peek === undefined) throw new Error(`no end of ${head.join(' ')}`);
      if (this.#peek === '(') {
        if (!isFunction) head.push('(', ...parameters(this.#group()), ')');
        else head.push(...this.#group());
        isFunction = true;
      } else if (this.#peek === '{' && isFunction) {
        this.#group();
        return add(head);
      } else if (this.#peek === ':' && isFunction) {
        this.#initializers();
        return add(head);
      } else if (this.#peek === 'operator') {
        while (this.#peek !== '(') head.push(this.#take());
      } else if (this.#peek === '{' || this.#peek === '<') {
        head.push(...this.#group());
      } else {
        head.push(this.#take());
      }
    }
    this.#take();
    if (head[0] !== 'friend' && head[0] !== 'static_assert') add(head);
  }

  /** `: a(b), c{d} {}` */
  #initializers() {
    do {
      this.#take();
      while (this.#peek !== '(' && this.#peek !== '{') this.#peek === '<' ? this.#group() : this.#take();
      this.#group();
    } while (this.#peek === ',');
    this.#group();
  }

  #enumerators(scope, add) {
    for (let value = 0; this.#peek !== '}'; value++) {
      const name = this.#take();
      if (this.#peek === '=') {
        this.#take();
        value = Number(this.#take());
      }
      add([name, '=', value], scope);
      if (this.#peek === ',') this.#take();
    }
    this.#take();
  }
}

/** The parameters of a group of tokens, without their names. */
const parameters = (group) => {
  const list = [[]];
  let depth = 0;
  for (const token of group.slice(1, -1)) {
    if (token === ',' && depth === 0) list.push([]);
    else list.at(-1).push(token);
    depth += '(<{'.includes(token) ? 1 : ')>}'.includes(token) ? -1 : 0;
  }
  return list.flatMap((parameter, i) => {
    const equals = parameter.indexOf('=');
    const type = equals < 0 ? parameter : parameter.slice(0, equals);
    const named =
      type.length > 1 && /^[A-Za-z_]\w*$/.test(type.at(-1)) && type.at(-1) !== 'const' && type.at(-2) !== '::';
    const rest = equals < 0 ? [] : parameter.slice(equals);
    return [...(i > 0 ? [','] : []), ...(named ? type.slice(0, -1) : type), ...rest];
  });
};

const key = ({ scope, text }) => `${scope} ${text}`;
const ours = new Declarations(preprocess(built)).list;
const theirs = new Declarations(preprocess(real)).list;
const known = new Set(theirs.map(key));
const missing = ours.filter((declaration) => !known.has(key(declaration)));
for (const declaration of missing) {
  console.log(`not in the real headers: ${key(declaration)}`);
  const name = /(\w+) (?:\(|=|\{|$)/.exec(declaration.text)?.[1];
  for (const other of theirs)
    if (other.scope === declaration.scope && new RegExp(`\\b${name}\\b`).test(other.text))
      console.log(`  they have: ${other.text}`);
}

const mine = new Set(ours.map(key));
const classes = [...new Set(ours.map(({ scope }) => scope))].filter((scope) => /::[A-Z]\w*::$/.test(scope));
const outOfOrder = classes.flatMap((scope) => {
  const members = (list, both) =>
    list.filter((entry) => entry.scope === scope && both.has(key(entry)) && !entry.text.includes('(')).map(key);
  const expected = members(theirs, mine);
  return members(ours, known).filter((entry, i) => entry !== expected[i]);
});
for (const entry of outOfOrder) console.log(`in another place: ${entry}`);

const undeclared = theirs.filter((entry) => classes.includes(entry.scope) && !mine.has(key(entry)));
if (process.env.VERBOSE) for (const entry of undeclared) console.log(`only in the real headers: ${key(entry)}`);
console.log(
  `${ours.length} declarations: ${missing.length} not in the real headers, ${outOfOrder.length} in another place; ` +
    `the real headers have ${undeclared.length} more in the same classes`,
);
process.exitCode = missing.length + outOfOrder.length > 0 ? 1 : 0;
