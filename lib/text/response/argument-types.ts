import { isJsonObject } from '../../base/json.js';
import type { Tool } from '../../base/types.js';
import { type Entries, integerText, isJson, numberText } from './content.js';

/** The parameters of the tools: of each the types that its JSON Schema names. They are copied. */
export class ToolParameters {
  readonly #byTool = new Map<string, ReadonlyMap<string, readonly string[]>>();

  constructor(tools: readonly Tool[]) {
    for (const tool of tools as readonly unknown[]) {
      const described = isJsonObject(tool) && isJsonObject(tool.function) ? tool.function : tool;
      if (!isJsonObject(described) || typeof described.name !== 'string') continue;
      const { parameters } = described;
      const properties = isJsonObject(parameters) ? parameters.properties : undefined;
      const types = Object.entries(isJsonObject(properties) ? properties : {});
      this.#byTool.set(described.name, new Map(types.map(([name, schema]) => [name, typesOf(schema, 0)])));
    }
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#byTool.keys());
  }

  /** Texts as the types that the tool's schema has: a format without types gives texts only. */
  cast(name: string, given: Entries): Entries {
    const parameters = this.#byTool.get(name);
    return new Map(
      [...given].map(([key, json]) => {
        const types = json.startsWith('"') ? (parameters?.get(key) ?? []) : [];
        const cast = types.map((type) => castText(JSON.parse(json) as string, type));
        return [key, cast.find((each) => each !== undefined) ?? json];
      }),
    );
  }
}

const MAX_NESTING = 20;

function typesOf(schema: unknown, depth: number): string[] {
  if (!isJsonObject(schema) || depth > MAX_NESTING) return [];
  const { type, anyOf, oneOf, nullable } = schema;
  const declared: unknown[] = Array.isArray(type) ? type : [type];
  const choices = [anyOf, oneOf].flatMap((each): unknown[] => (Array.isArray(each) ? each : []));
  return [
    ...declared.filter((each) => typeof each === 'string'),
    ...choices.flatMap((each) => typesOf(each, depth + 1)),
    ...(nullable ? ['null'] : []),
  ];
}

/** The JSON text of a value of this type; undefined if the text is none. */
function castText(text: string, type: string): string | undefined {
  const stripped = text.trim();
  switch (type) {
    case 'string':
      return JSON.stringify(text);
    case 'integer':
      return (
        integerText(stripped) ??
        (Number.isSafeInteger(Number(stripped || Number.NaN)) ? String(Number(stripped)) : undefined)
      );
    case 'number':
      return numberText(stripped);
    case 'boolean': {
      const lower = stripped.toLowerCase();
      if (['true', '1'].includes(lower)) return 'true';
      return ['false', '0'].includes(lower) ? 'false' : undefined;
    }
    case 'null':
      return ['null', 'None'].includes(stripped) ? 'null' : undefined;
    case 'object':
    case 'array': {
      const begins = type === 'object' ? '{' : '[';
      return stripped.startsWith(begins) && isJson(stripped) ? stripped : undefined;
    }
    default:
      return undefined;
  }
}
