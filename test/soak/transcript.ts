import assert from 'node:assert/strict';
import type { Chunk, Output } from 'node-tensorrt-llm';

type Whole = readonly Pick<Output, 'text' | 'tokens' | 'finishReason'>[];

/** What a reader was given, by output. */
export class Transcript {
  readonly #texts: string[] = [];
  readonly #tokens: number[][] = [];
  readonly #finishReasons: (string | undefined)[] = [];
  #textOfFirst = '';
  chunks = 0;

  add({ index, text, tokens, finishReason }: Chunk): void {
    assert.equal(this.#finishReasons[index], undefined, `a chunk of output ${index} after its last one`);
    this.chunks++;
    this.#texts[index] = (this.#texts[index] ?? '') + text;
    this.#tokens[index] ??= [];
    this.#tokens[index].push(...tokens);
    this.#finishReasons[index] = finishReason;
  }

  /** For a reader of the first output's text alone. */
  addText(text: string): void {
    this.#textOfFirst += text;
  }

  /** What addText() got is all of the first output's text. */
  mustBeText(whole: Whole): void {
    assert.equal(this.#textOfFirst, whole[0]?.text ?? '', 'what textStream gave');
  }

  /** All of it was read by chunks; with `reasons`, each output's last one said how it ended. */
  mustBe(whole: Whole, { reasons }: { reasons: boolean }): void {
    assert.ok(this.#texts.length <= whole.length, 'chunks of an output that the result lacks');
    for (const [index, { text, tokens, finishReason }] of whole.entries()) {
      assert.equal(this.#texts[index] ?? '', text, `text of the chunks of output ${index}`);
      assert.deepEqual(this.#tokens[index] ?? [], [...tokens], `tokens of the chunks of output ${index}`);
      if (reasons) assert.equal(this.#finishReasons[index], finishReason, `the last chunk of output ${index}`);
    }
  }

  /** The beginning of it was read, of some outputs perhaps nothing. */
  mustBegin(whole: Whole): void {
    mustBegin(this.#textOfFirst, whole[0]?.text);
    for (const [index, text = ''] of this.#texts.entries()) {
      mustBegin(text, whole[index]?.text);
      const tokens = this.#tokens[index] ?? [];
      assert.deepEqual(tokens, [...(whole[index]?.tokens.subarray(0, tokens.length) ?? [])]);
    }
  }
}

const mustBegin = (part: string, whole = ''): void =>
  assert.ok(whole.startsWith(part), `${JSON.stringify(part)} is no beginning of ${JSON.stringify(whole)}`);
