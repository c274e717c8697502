import { type ChatTemplateLimits, DEFAULT_CHAT_TEMPLATE_LIMITS } from '../base/chat-template-limits.js';
import { LLMError } from '../base/errors.js';

/** How many steps may pass between two looks at the clock. */
const STEPS_PER_LOOK = 256;

/** Counts what one rendering uses, and ends it with `ERR_CHAT_TEMPLATE` where that is more than its limits. */
export class TemplateMeter {
  readonly #limits: Required<Readonly<Record<keyof ChatTemplateLimits, number>>>;
  readonly #cpuAtStart = process.cpuUsage();
  #deadline: number;
  #left: number;
  #lookBelow: number;

  constructor(limits: ChatTemplateLimits) {
    const { steps, outputLength, timeMs } = DEFAULT_CHAT_TEMPLATE_LIMITS;
    this.#limits = {
      steps: limits.steps ?? steps,
      outputLength: limits.outputLength ?? outputLength,
      timeMs: limits.timeMs ?? timeMs,
    };
    this.#left = this.#limits.steps;
    this.#lookBelow = Math.max(0, this.#left - STEPS_PER_LOOK);
    this.#deadline = performance.now() + this.#limits.timeMs;
  }

  /** Steps that are left, rounded up. */
  get left(): number {
    return Math.ceil(this.#left);
  }

  /** Called before the work; fractions add up. */
  charge(steps: number): void {
    this.#left -= steps;
    if (!(this.#left >= this.#lookBelow)) this.#look(); // not less than: NaN ends it too
  }

  /** Of a text that the template makes. */
  checkLength(length: number): void {
    const { outputLength } = this.#limits;
    if (length <= outputLength) return;
    throw exceeded('outputLength', `makes a text of ${length} UTF-16 units; expected at most ${outputLength}`);
  }

  #look(): void {
    const { steps, timeMs } = this.#limits;
    if (!(this.#left >= 0)) throw exceeded('steps', `takes more than ${steps} steps; expected at most ${steps}`);
    const now = performance.now();
    if (now > this.#deadline) {
      // While other processes had the processors this one did not run, and the template used no time.
      const { user, system } = process.cpuUsage(this.#cpuAtStart);
      const ranMs = (user + system) / 1000;
      if (ranMs > timeMs) throw exceeded('timeMs', `takes longer than ${timeMs} ms; expected at most ${timeMs} ms`);
      this.#deadline = now + timeMs - ranMs;
    }
    this.#lookBelow = Math.max(0, this.#left - STEPS_PER_LOOK);
  }
}

const exceeded = (name: keyof ChatTemplateLimits, found: string): LLMError => {
  const option = `chatTemplateLimits.${name}`;
  const fix = `Send fewer or shorter messages, or raise ${option} where the model is loaded.`;
  return new LLMError('ERR_CHAT_TEMPLATE', `The chat template ${found} (${option}). ${fix}`, { option });
};
