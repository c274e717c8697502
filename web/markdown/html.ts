import DOMPurify, { type Config } from 'dompurify';
import { Marked } from 'marked';

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Text that is shown as it was written. */
const asWritten = (text: string): string => `<p class="as-written">${escaped(text)}</p>`;

const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    // HTML in an answer is shown as text. Only a line break is taken as one: tables have no other.
    html({ text, block }) {
      if (/^<br *\/?>$/i.test(text)) return '<br>';
      return block ? asWritten(text.trimEnd()) : escaped(text);
    },
    image({ href, text }) {
      return `<a href="${escaped(href)}">${escaped(text || 'image')}</a>`;
    },
    checkbox({ checked }) {
      return checked ? '☑ ' : '☐ ';
    },
    code({ text, lang = '' }) {
      const name = escaped(lang.split(/\s/, 1)[0] ?? '');
      const head = `<div class="code-head"><span>${name}</span><button type="button" class="copy-code">Copy</button></div>`;
      return `<div class="code">${head}<pre><code>${escaped(text)}\n</code></pre></div>`;
    },
    table({ header, rows }) {
      const row = (cells: typeof header, name: string): string =>
        `<tr>${cells.map(({ tokens, align }) => `<${name}${align ? ` align="${align}"` : ''}>${this.parser.parseInline(tokens)}</${name}>`).join('')}</tr>`;
      const body = rows.map((cells) => row(cells, 'td')).join('');
      return `<div class="table"><table><thead>${row(header, 'th')}</thead><tbody>${body}</tbody></table></div>`;
    },
  },
});

/** Second check: what is not named here does not reach the page, whatever marked makes of an answer. */
const ALLOWED: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: [
    ...['p', 'br', 'hr', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'div', 'span', 'button'],
    ...['strong', 'em', 'del', 'code', 'pre', 'a', 'table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ],
  ALLOWED_ATTR: ['href', 'class', 'align', 'start', 'type'],
  ADD_URI_SAFE_ATTR: ['align', 'start', 'type'], // otherwise ALLOWED_URI_REGEXP is applied to their values
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (!node.hasAttribute('href')) return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer');
});

export const toFragment = (html: string): DocumentFragment => DOMPurify.sanitize(html, ALLOWED);

/**
 * The HTML of each block of an answer that grows. Blocks that can change no more are not parsed again: that would take a time with the
 * square of the length.
 */
export class Blocks {
  #text = '';
  readonly #settled: string[] = [];
  #settledLength = 0;

  update(markdownText: string): readonly string[] {
    const text = markdownText.replaceAll(/\r\n?/g, '\n');
    if (!text.startsWith(this.#text)) {
      this.#settled.length = 0;
      this.#settledLength = 0;
    }
    this.#text = text;
    try {
      return this.#parse(text);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return [asWritten(text)]; // nested deeper than the stack
    }
  }

  #parse(text: string): readonly string[] {
    const tokens = markdown.lexer(text.slice(this.#settledLength));
    const { links } = tokens;
    const toHtml = (each: (typeof tokens)[number]): string => markdown.parser(Object.assign([each], { links }));
    const isVisible = ({ type }: (typeof tokens)[number]): boolean => type !== 'space' && type !== 'def';
    const visible = tokens.filter(isVisible);
    // The last block grows. The one before it can still join with it, as a list does with "2", once that is "2.".
    const firstOpen = visible.at(-2);
    for (const token of tokens) {
      if (token === firstOpen || visible.length < 2) break;
      this.#settledLength += token.raw.length;
      if (isVisible(token)) this.#settled.push(toHtml(token));
    }
    return [...this.#settled, ...visible.slice(-2).map(toHtml)];
  }
}
