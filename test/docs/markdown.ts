import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../tools/project.js';

/** A heading and what stands under it, up to the next heading of any level. */
export interface Section {
  title: string;
  text: string;
  blocks: CodeBlock[];
}

export interface CodeBlock {
  language: string;
  code: string;
}

/** The sections of a Markdown file of the project; the path is from its root. */
export function readSections(path: string): Section[] {
  const sections: Section[] = [{ title: '', text: '', blocks: [] }];
  let block: CodeBlock | undefined;
  for (const line of readFileSync(join(PROJECT_ROOT, path), 'utf8').split('\n')) {
    const section = sections.at(-1) as Section;
    const fence = /^```(\w*)$/.exec(line);
    const heading = /^#+ (.*)$/.exec(line);
    if (fence) {
      if (!block) section.blocks.push({ language: fence[1] ?? '', code: '' });
      block = block ? undefined : section.blocks.at(-1);
    } else if (block) {
      block.code += `${line}\n`;
    } else if (heading) {
      sections.push({ title: (heading[1] ?? '').replaceAll('\\<', '<'), text: '', blocks: [] });
    } else {
      section.text += `${line}\n`;
    }
  }
  return sections;
}

export interface Field {
  name: string;
  type: string | undefined;
  /** What it says its default is, as text. */
  default: string | undefined;
}

/** The items of a section that name a field: "- `name`: `type`. What it is. Default: `value`." */
export function fieldsOf({ text }: Section): Field[] {
  const items = text.replaceAll(/\n {2}/g, ' ').match(/^- `.*$/gm) ?? [];
  return items.flatMap((item) => {
    const [, name, type] = /^- `(\w+)`(?:: `([^`]+)`)?/.exec(item) ?? [];
    return name === undefined ? [] : [{ name, type, default: defaultIn(item) }];
  });
}

/** The default that a docstring or an item of a list names at its end. */
export const defaultIn = (text: string): string | undefined => /Default(?:, and most)?: (.*)\.$/.exec(text)?.[1];
