import assert from 'node:assert/strict';
import { join } from 'node:path';
import * as core from 'node-tensorrt-llm';
import * as aiSdk from 'node-tensorrt-llm/ai-sdk';
import * as langchain from 'node-tensorrt-llm/langchain';
import * as server from 'node-tensorrt-llm/server';
import { API, type Project, SymbolFlags, type Symbol as TypeSymbol } from 'typescript/unstable/sync';
import { PROJECT_ROOT } from '../tools/project.js';

/** What the package exports, as a user sees it. */
export interface Exported {
  name: string;
  /** As written, for a function `(parameters) => type`; one for each overload. Empty where none is written. */
  types: string[];
  members: Member[];
}

export interface Member {
  name: string;
  isStatic: boolean;
  /** As those of Exported; without the undefined of an optional one. */
  types: string[];
  docstring: string;
}

const SOURCES = join(PROJECT_ROOT, 'lib/');
const ENTRIES = ['index.ts', 'server/index.ts', 'integrations/ai-sdk.ts', 'integrations/langchain.ts'];
const runtime = { ...core, ...server, ...aiSdk, ...langchain };

export function readExports(): Exported[] {
  const api = new API({ cwd: PROJECT_ROOT });
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(PROJECT_ROOT, 'tsconfig.json')] }).getProjects();
    assert.ok(project);
    const { checker, program } = project;
    return ENTRIES.flatMap((entry) => {
      const index = program.getSourceFile(join(SOURCES, entry));
      const module = index && checker.getSymbolAtLocation(index);
      assert.ok(module, `lib/${entry} is not in the project of tsconfig.json`);
      return checker.getExportsOfModule(module).map((specifier) => {
        const symbol = specifier.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(specifier) : specifier;
        return { name: symbol.name, types: typesOf(symbol, project), members: membersOf(symbol, project) };
      });
    });
  } finally {
    api.close();
  }
}

function membersOf(symbol: TypeSymbol, project: Project): Member[] {
  const { checker } = project;
  if (!(symbol.flags & (SymbolFlags.Interface | SymbolFlags.Class)) && symbol.name !== 'Capabilities') return [];
  const instance = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
  // A class that is exported as a type only has no statics for users.
  const type = symbol.name in runtime ? checker.getTypeOfSymbol(symbol) : undefined;
  const statics = type ? checker.getPropertiesOfType(type) : [];
  return [
    ...instance.map((member) => memberOf(member, false, project)),
    ...statics.map((member) => memberOf(member, true, project)),
  ].filter((member) => member !== undefined);
}

/** Undefined for what is no user's: private, inherited from JavaScript's own classes, or called internal. */
function memberOf(symbol: TypeSymbol, isStatic: boolean, project: Project): Member | undefined {
  const docstring = project.checker.getDocumentationCommentOfSymbol(symbol).replaceAll('\n', ' ');
  const isOurs = symbol.declarations.every(({ path }) => path.startsWith(SOURCES));
  if (!isOurs || /^__|^prototype$/.test(symbol.name) || docstring.startsWith('Internal:')) return undefined;
  return { name: symbol.name, isStatic, types: typesOf(symbol, project), docstring };
}

interface Declaration {
  type?: { getText(): string };
  parameters?: readonly { getText(): string }[];
  body?: object;
}

function typesOf(symbol: TypeSymbol, project: Project): string[] {
  const isOptional = (symbol.flags & SymbolFlags.Optional) !== 0;
  const declarations = symbol.declarations.map((handle) => handle.resolve(project) as Declaration | undefined);
  return declarations.flatMap((declaration) => {
    if (!declaration?.type) return [];
    if (declaration.body && declarations.length > 1) return []; // the body of overloads, which users do not see
    const type = asWritten(declaration.type.getText(), isOptional);
    const isMethod = (symbol.flags & (SymbolFlags.Method | SymbolFlags.Function)) !== 0;
    if (!isMethod) return [type];
    const parameters = (declaration.parameters ?? []).map((parameter) => parameter.getText());
    return [`(${parameters.join(', ')}) => ${type.replace(/^\w+ is .*/, 'boolean')}`];
  });
}

function asWritten(type: string, isOptional: boolean): string {
  const line = type.replaceAll(/\s+/g, ' ');
  return isOptional ? line.replace(/ \| undefined$/, '').replace(/^\((.*=>.*)\)$/, '$1') : line;
}
