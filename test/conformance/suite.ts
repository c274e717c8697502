import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { type Capabilities, LLM, LLMError, type LoadOptions } from 'node-tensorrt-llm';
import { type ExecutorUnderTest, engineWith, type Trait } from './executors.js';
import { idle } from './requests.js';

/** What a case has to work with. It knows no more of the executor than `llm.info` and `llm.capabilities` say. */
export interface Subject {
  /** Shared by all cases; a case leaves it open and idle. */
  readonly llm: LLM;
  /** The same engine loaded once more, where given with another generation_config.json; it is closed when the case ends. */
  load(options?: LoadOptions, generationConfig?: object): Promise<LLM>;
  /** The arguments of LLM.load, for a case that loads in a process of its own. They are JSON. */
  readonly loadArguments: readonly [dir: string, options: LoadOptions];
}

export interface Case {
  /** A sentence that can be false. */
  readonly name: string;
  /** Where a capability lacks, the case must fail with the error that names it; where a trait lacks, it is not run. */
  readonly needs: readonly (keyof Capabilities | Trait)[];
  readonly body: (subject: Subject) => Promise<void>;
}

export type Verdict = { outcome: 'pass' } | { outcome: 'refused'; lacks: string } | { outcome: 'skip'; lacks: string };

export const cases: Case[] = [];

export function conformance(needs: Case['needs'], name: string, body: Case['body']): void {
  cases.push({ needs, name, body });
}

const CASE_LIMIT_MS = 30_000;

/** An executor with its engine loaded, to run cases on. */
export class Conformance {
  readonly #executor: ExecutorUnderTest;
  readonly #dir: string;
  #llm: LLM;

  private constructor(executor: ExecutorUnderTest, dir: string, llm: LLM) {
    this.#executor = executor;
    this.#dir = dir;
    this.#llm = llm;
  }

  /** @param dir an engine with a tokenizer and a chat template. Default: the one that the executor is tested with. */
  static async open(executor: ExecutorUnderTest, dir?: string): Promise<Conformance> {
    const engine = dir ?? (await executor.engine());
    return new Conformance(executor, engine, await LLM.load(engine, executor.options));
  }

  close(): Promise<void> {
    return this.#llm.close();
  }

  /** Rejects with what is wrong. */
  async run(each: Case): Promise<Verdict> {
    const limit = new AbortController();
    try {
      const tooLong = setTimeout(CASE_LIMIT_MS, undefined, { signal: limit.signal, ref: false }).then(() => {
        throw new Error(`the case did not end within ${CASE_LIMIT_MS} ms`);
      });
      return await Promise.race([this.#judge(each), tooLong]);
    } catch (error) {
      await this.#llm.close(); // what the case left running must not spoil the next
      this.#llm = await LLM.load(this.#dir, this.#executor.options);
      throw error;
    } finally {
      limit.abort();
    }
  }

  async #judge({ needs, body }: Case): Promise<Verdict> {
    const { capabilities } = this.#llm;
    const { traits } = this.#executor;
    const isTrait = (need: (typeof needs)[number]): need is Trait => !(need in capabilities);
    const refused = needs.filter((need) => !isTrait(need) && !capabilities[need]);
    if (refused.length > 0) {
      await assert.rejects(this.#call(body), (error) => {
        if (!LLMError.is(error) || error.code !== 'ERR_UNSUPPORTED') throw error;
        const isNamed = refused.some((name) => error.message.includes(`llm.capabilities.${name}, which`));
        assert.ok(isNamed, `"${error.message}" names none of ${refused.join(', ')}`);
        return true;
      });
      return { outcome: 'refused', lacks: refused.join(', ') };
    }
    const missing = needs.filter((need) => isTrait(need) && !traits.includes(need));
    if (missing.length > 0) return { outcome: 'skip', lacks: missing.join(', ') };
    await this.#call(body);
    return { outcome: 'pass' };
  }

  async #call(body: Case['body']): Promise<void> {
    const executor = this.#executor.options;
    const opened: LLM[] = [];
    try {
      await body({
        llm: this.#llm,
        load: async (options = {}, generationConfig) => {
          const dir = generationConfig ? await engineWith(this.#dir, generationConfig) : this.#dir;
          const kvCache = { ...executor.kvCache, ...options.kvCache };
          const llm = await LLM.load(dir, { ...executor, ...options, kvCache });
          opened.push(llm);
          return llm;
        },
        loadArguments: [this.#dir, executor],
      });
    } finally {
      await Promise.all(opened.map((llm) => llm.close()));
    }
    await idle(this.#llm);
    assert.equal(this.#llm.stats().unknownRows, 0, 'rows came for requests that nobody made');
  }
}
